from kindcache.adapters.evaluation.intervals import Share


def test_a_share_of_nothing_is_unknown() -> None:
    assert Share(0, 0).value is None
    assert str(Share(0, 0)) == "-"
    assert Share(0, 0).as_json() == {"part": 0, "whole": 0, "share": None, "low": 0.0, "high": 1.0}


def test_a_share_prints_percent_and_interval() -> None:
    assert str(Share(15, 148)) == "10.1 (6.2-16.0)"


def test_questions_of_one_pair_do_not_narrow_the_interval() -> None:
    assert Share(30, 296, per_case=2).interval == Share(15, 148).interval
    assert Share(30, 296, per_case=2).value == Share(15, 148).value
