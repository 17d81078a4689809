"""Files that cannot be used: what each is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from kindcache.config.load import ConfigError, load, loads
from kindcache.config.settings import Settings

KEYS = (
    "version, upstream, store, snapshot, embedder, scope, trust, capacity, http, normalise, "
    "classifier, judge, evidence, load, freshness, economics, defaults, categories"
)
STORES = (
    "memory://, sqlite:///FILE, redis://HOST:PORT/DB, rediss://HOST:PORT/DB, unix:///SOCKET, "
    "redis+cluster://HOST:PORT,HOST:PORT or redis+sentinel://HOST:PORT,HOST:PORT/SERVICE"
)
DURATION = 'a duration such as "500ms", "5m", "1h30m" or "7d"; a plain number is seconds'
VARIABLE = "is not the name of an environment variable (not shown: it may be a secret)"
NAMESPACE = 'is not a namespace: 1 to 64 of A-Z, a-z, 0-9, "_", "." and "-"'
NAME = 'is not a category name: 1 to 40 of a-z, 0-9 and "_", a letter first'

BAD_FILES = {
    "unknown key": ("upstrem: {}", 'f:1: upstrem: unknown key; nearest: "upstream"'),
    "unknown key, nothing near": ("xyzzy: 1", f"f:1: xyzzy: unknown key; known: {KEYS}"),
    "unknown key in a category": (
        "categories:\n  code:\n    similarity_treshold: 0.9",
        'f:3: categories.code.similarity_treshold: unknown key; nearest: "similarity_threshold"',
    ),
    "unknown key in a rule of a list": (
        "categories:\n  code:\n    match:\n      - {model: a}\n      - {modle: b}",
        'f:5: categories.code.match[1].modle: unknown key; nearest: "model"',
    ),
    "unknown key in a single rule": (
        "categories: {code: {match: {modle: b}}}",
        'f:1: categories.code.match.modle: unknown key; nearest: "model"',
    ),
    "unknown unit": (
        "categories:\n  code:\n    ttl: 5 parsecs",
        'f:3: categories.code.ttl: "5 parsecs": unknown unit "parsecs"; nearest: "s"',
    ),
    "unknown unit of a size": (
        "http: {max_answer: 4mb}",
        'f:1: http.max_answer: "4mb": unknown unit "mb"; nearest: "MB"',
    ),
    "negative time": (
        "defaults: {ttl: -1}",
        f"f:1: defaults.ttl: -1: must be above 0; write {DURATION}",
    ),
    "endless time": (
        "defaults: {ttl: .inf}",
        f"f:1: defaults.ttl: Infinity: is not finite; write {DURATION}",
    ),
    "threshold above one": (
        "defaults: {similarity_threshold: 1.2}",
        "f:1: defaults.similarity_threshold: 1.2: must be at most 1",
    ),
    "threshold below zero": (
        "defaults: {similarity_threshold: -0.1}",
        "f:1: defaults.similarity_threshold: -0.1: must be at least 0",
    ),
    "threshold is not finite": (
        "defaults: {similarity_threshold: .nan}",
        "f:1: defaults.similarity_threshold: NaN: is not finite",
    ),
    "threshold as text": (
        'defaults: {similarity_threshold: "0.9"}',
        'f:1: defaults.similarity_threshold: "0.9": is not a number',
    ),
    "number as true": (
        "capacity: {entries: true}",
        "f:1: capacity.entries: true: is not a whole number",
    ),
    "number beyond any machine": (
        f"defaults: {{max_temperature: {10**400}}}",
        f"f:1: defaults.max_temperature: 1{'0' * 59}…: is not a number",
    ),
    "half a character": (
        'store: {namespace: "\\ud800"}',
        'f:1: store.namespace: "\\ud800": is not text',
    ),
    "number too small": ("capacity: {entries: 0}", "f:1: capacity.entries: 0: must be at least 1"),
    "priority of zero": (
        "categories: {a: {priority: 0}}",
        "f:1: categories.a.priority: 0: must be above 0",
    ),
    "yes is not true": (
        "categories: {medical: {cache: no}}",
        'f:1: categories.medical.cache: "no": is neither true nor false',
    ),
    "none of the choices": (
        "embedder: {runtime: onnx-int4}",
        'f:1: embedder.runtime: "onnx-int4": is not known; nearest: "onnx-int8"',
    ),
    "none of the choices, nothing near": (
        "scope: {anonymous: 7}",
        "f:1: scope.anonymous: 7: is not known; known: bypass, share",
    ),
    "other version": ("version: 2", "f:1: version: 2: is not known; known: 1"),
    "version as true": ("version: true", "f:1: version: true: is not 1"),
    "text expected": (
        "categories: {a: {examples: [3]}}",
        "f:1: categories.a.examples[0]: 3: is not text; put it in quotes",
    ),
    "empty example": (
        'categories: {a: {examples: [" "]}}',
        'f:1: categories.a.examples[0]: " ": is empty',
    ),
    "list expected": (
        "categories: {a: {examples: one}}",
        'f:1: categories.a.examples: "one": is not a list',
    ),
    "mapping expected": (
        "store: redis://h",
        'f:1: store: "redis://h": is not a mapping of keys and values',
    ),
    "mapping expected, list given": (
        "categories: [a]",
        "f:1: categories: a list: is not a mapping of keys and values",
    ),
    "list of rules expected": (
        "categories: {a: {match: 3}}",
        "f:1: categories.a.match: 3: is not a list",
    ),
    "missing key": ("normalise:\n  - {}", "f:2: normalise[0].pattern: is missing"),
    "condition without content": (
        "categories: {a: {match: {header: {}}}}",
        "f:1: categories.a.match.header: is empty",
    ),
    "header name": (
        "categories: {a: {match: {header: {'x y': b}}}}",
        'f:1: categories.a.match.header.x y: "x y": is not a header name: letters, digits and "-"',
    ),
    "category name": ("categories: {Code: {}}", f'f:1: categories.Code: "Code": {NAME}'),
    "category name is a number": (
        "categories: {3: {}}",
        "f:1: categories.3: is not a name; put it in quotes",
    ),
    "namespace": (
        "store: {namespace: a b}",
        f'f:1: store.namespace: "a b": {NAMESPACE}',
    ),
    "scope": (
        "scope: {by: tenant}",
        'f:1: scope.by: "tenant": is none of credential, shared, header:NAME',
    ),
    "pattern": (
        'categories: {a: {match: {pattern: "(?=x)"}}}',
        (
            'f:1: categories.a.match.pattern: "(?=x)": is not an RE2 expression: '
            "invalid perl operator: (?="
        ),
    ),
    "pattern of a normalisation": (
        'normalise: [{pattern: "("}]',
        'f:1: normalise[0].pattern: "(": is not an RE2 expression: missing ): (',
    ),
    "network": (
        "trust:\n  peers:\n    - 10.0.0.0/8\n    - 10.0.0.1/8",
        'f:4: trust.peers[1]: "10.0.0.1/8": has host bits set; nearest: "10.0.0.0/8"',
    ),
    "store": ("store: {url: x.db}", f'f:1: store.url: "x.db": is not a store; write {STORES}'),
    "store with a password": (
        "store: {url: 'redis//:hunter2@h'}",
        f'f:1: store.url: "redis//:***@h": is not a store; write {STORES}',
    ),
    "upstream": (
        "upstream: {base_url: 'ftp://u:hunter2@h'}",
        'f:1: upstream.base_url: "ftp://u:***@h": is not an http:// or https:// address',
    ),
    "a secret in another address": (
        "load: {metrics_url: 'ftp://u:hunter2@h'}",
        'f:1: load.metrics_url: "ftp://u:***@h": is not an http:// or https:// address',
    ),
    "the only one of a list is wrong": (
        "defaults: {personal_kinds: [cards]}",
        'f:1: defaults.personal_kinds[0]: "cards": is not known; nearest: "card"',
    ),
    "secret where its variable's name belongs": (
        "embedder: {api_key_env: sk-hunter2}",
        f"f:1: embedder.api_key_env: {VARIABLE}",
    ),
    "remote embedder": (
        "embedder:\n  runtime: remote",
        (
            "f:1: embedder.url: is needed for runtime: remote\n"
            "f:1: embedder.window: is needed for runtime: remote; in tokens"
        ),
    ),
    "remote embedder with a bad address is told once": (
        "embedder: {runtime: remote, window: 512, url: h}",
        'f:1: embedder.url: "h": is not an http:// or https:// address',
    ),
    "judge with a bad address": (
        "judge:\n  scorer: http://",
        "f:2: judge.scorer: names no host",
    ),
    "keys of a judge that is asked over HTTP": (
        "judge:\n  scorer: shipped\n  api_key_env: KEY\n  score: log_odds",
        (
            "f:3: judge.api_key_env: is only for a judge.scorer that is an address\n"
            "f:4: judge.score: is only for a judge.scorer that is an address"
        ),
    ),
    "quotas": (
        "version: 1\ncategories:\n  a: {quota: 80%}\n  b: {quota: 0.4}",
        "f:2: categories: quotas add up to 120% (a 80%, b 40%); at most 100% can be kept",
    ),
    "a quota of less than one entry": (
        "capacity: {entries: 10}\ncategories:\n  a: {quota: 5%}\n  b: {quota: 10%}",
        (
            "f:3: categories.a.quota: 5% of 10 entries is less than one: the category would be "
            "kept nothing"
        ),
    ),
    "a quota that holds no answer": (
        "capacity: {size: 10kB}\ncategories:\n  a: {quota: 1%}",
        "f:3: categories.a.quota: 1% of 10kB holds no answer: the smallest take about 256 bytes",
    ),
    "a cap of less than one entry": (
        "capacity:\n  entries: 4\n  per_scope: 20%",
        "f:3: capacity.per_scope: 20% of 4 entries is less than one: nothing could be stored",
    ),
    "a cap that holds no answer": (
        "capacity:\n  size: 1kB\n  per_scope: 20%",
        "f:3: capacity.per_scope: 20% of 1kB holds no answer: nothing could be stored",
    ),
    "a cap where there is one scope": (
        "scope: {by: shared}\ncapacity:\n  per_scope: 20%",
        (
            "f:3: capacity.per_scope: has no sense with scope.by: shared: there is one scope, and "
            "the rest stays empty"
        ),
    ),
    "an unknown eviction": (
        "capacity: {eviction: lur}",
        'f:1: capacity.eviction: "lur": is not known; nearest: "lru"',
    ),
    "quota as a plain percentage": (
        "categories: {a: {quota: 30}}",
        'f:1: categories.a.quota: 30: is above 1; for a percentage write "30%"',
    ),
    "the same rule in another category": (
        (
            "categories:\n  a: {match: {model: x, path: y}}\n  b:\n    match:\n"
            "      - {path: y, model: x}"
        ),
        "f:5: categories.b.match[0]: repeats the rule categories.a.match[0]",
    ),
    "the same header rule": (
        "categories: {a: {match: [{header: {X-A: b}}, {header: {x-a: b}}]}}",
        "f:1: categories.a.match[1]: repeats the rule categories.a.match[0]",
    ),
    "rule after one without conditions": (
        "categories:\n  a: {match: {}}\n  b: {match: {model: x}}",
        (
            "f:3: categories.b.match: is never reached: the rule categories.a.match[0] "
            "matches every prompt"
        ),
    ),
    "rule after a star": (
        'categories:\n  a: {match: {model: "*"}}\n  b: {match: {model: x}}',
        (
            "f:3: categories.b.match: is never reached: the rule categories.a.match[0] "
            "matches every prompt"
        ),
    ),
    "rule after a pattern that always matches": (
        'categories:\n  a: {match: {pattern: "(?s).*", path: "*"}}\n  b: {match: {model: x}}',
        (
            "f:3: categories.b.match: is never reached: the rule categories.a.match[0] "
            "matches every prompt"
        ),
    ),
    "the same example": (
        "categories:\n  a: {examples: [Hello there]}\n  b: {examples: [x, 'hello  there']}",
        "f:3: categories.b.examples[1]: repeats the example categories.a.examples[0]",
    ),
    "key given twice": (
        "store: {}\ncapacity: {}\nstore: {}",
        "f:3: store: is given twice, on lines 1 and 3",
    ),
    "category given twice": (
        "categories:\n  a: {}\n  b: {}\n  a: {}",
        "f:4: categories.a: is given twice, on lines 2 and 4",
    ),
    "key without a value": (
        "categories:\n  medical:\n    cache:",
        "f:3: categories.medical.cache: has no value; give it one or remove the key",
    ),
    "list at the top": ("- a", "f:1: is not a mapping; write keys and values"),
    "text at the top": ("hello", "f:1: is not a mapping; write keys and values"),
    "YAML: bracket": (
        "a: 1\nb: [",
        (
            "f:2:5: while parsing a flow node that began on line 2: expected the node content, "
            "but found '<stream end>'"
        ),
    ),
    "white space in a model's name": (
        "judge: {scorer: 'a b'}",
        (
            'f:1: judge.scorer: "a b": is no name, path or address: empty, over 200 characters, '
            "or with white space"
        ),
    ),
    "YAML: tab": (
        "a:\n\tb: 1",
        "f:2:1: found character '\\t' that cannot start any token",
    ),
    "YAML: colon": ("a: b: c", "f:1:5: mapping values are not allowed here"),
    "YAML: control character": ("a: \x01", "f:1:4: the character U+0001 cannot stand in YAML"),
    "YAML: object": (
        "a: !!python/object:os.system {}",
        (
            "f:1:4: could not determine a constructor for the tag "
            "'tag:yaml.org,2002:python/object:os.system'"
        ),
    ),
    "YAML: tag that does not fit": (
        "a: !!int b",
        "f: holds a value that its YAML tag does not fit",
    ),
    "YAML: two documents": (
        "a: 1\n---\nb: 1",
        (
            "f:2:1: expected a single document in the stream that began on line 1: "
            "but found another document"
        ),
    ),
    "YAML: alias in itself": ("a: &x [*x]", "f:1:4: an alias contains itself"),
    "YAML: aliases": (
        "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9) if n else 0}]" for n in range(30)),
        "f: aliases expand to over 100,000 values",
    ),
    "YAML: depth": ("[" * 5000, "f: is nested too deeply"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_told_what_is_wrong_and_where(name: str) -> None:
    text, message = BAD_FILES[name]
    with pytest.raises(ConfigError) as caught:
        loads(text, "f")
    assert str(caught.value) == message


def test_all_problems_come_at_once_in_the_order_of_the_file() -> None:
    text = """\
capacity: {entries: 0}
categories:
  a:
    quota: 80%
    ttl: 5 parsecs
    match: {modle: x}
  b:
    quota: 80%
    cache:
    match:
      - {model: y}
      - {model: y}
stoer: {}
"""
    with pytest.raises(ConfigError) as caught:
        loads(text, "f")
    assert [line.split(": ")[:2] for line in caught.value.lines] == [
        ["f:1", "capacity.entries"],
        ["f:2", "categories"],
        ["f:5", "categories.a.ttl"],
        ["f:6", "categories.a.match.modle"],
        ["f:9", "categories.b.cache"],
        ["f:12", "categories.b.match[1]"],
        ["f:13", "stoer"],
    ]


def test_a_rule_that_lost_a_bad_condition_is_not_taken_for_one_that_matches_everything() -> None:
    text = "categories: {a: {match: {pattern: '('}}, b: {match: {model: x}}}"
    with pytest.raises(ConfigError) as caught:
        loads(text, "f")
    assert len(caught.value.lines) == 1


def test_every_bad_item_of_a_list_is_named() -> None:
    with pytest.raises(ConfigError) as caught:
        loads("categories: {a: {examples: ['', 3, ok], quota: 2%}}", "f")
    assert len(caught.value.lines) == 2


@pytest.mark.parametrize("text", ["", "   \n", "# nothing yet\n", "---\n", "~"])
def test_an_empty_file_is_the_defaults(text: str) -> None:
    assert loads(text, "f") == Settings()


@pytest.mark.parametrize(
    "text",
    [
        "categories: {a: {cache: false, similarity_threshold: 0.9, ttl: 5m}}",
        "categories: {a: {quota: 70%}, b: {quota: 20%}, c: {quota: 10%}}",
        "categories: {a: {match: {model: x}}, b: {match: {}}}",
        "categories: {a: {match: [{pattern: '^.{1,100}$'}, {pattern: a}]}}",
        "x: &x {ttl: 5m}\ncategories: {a: *x, b: {<<: *x, cache: false}}".replace(
            "x: &x", "defaults: &x"
        ),
        "capacity: {entries: 100_000}\nversion: 1",
        "embedder: {runtime: remote, url: 'http://h/v1', window: 512}",
        "categories: {a: {match: {metadata: {when: 2024-01-01, state: on}}}}",
    ],
)
def test_what_looks_odd_but_is_right_is_accepted(text: str) -> None:
    assert isinstance(loads(text, "f"), Settings)


def test_a_file_is_read_as_utf_8_with_or_without_a_mark(tmp_path: Path) -> None:
    path = tmp_path / "policies.yaml"
    path.write_bytes("\ufeffcategories: {a: {examples: [Grüße]}}".encode())
    assert load(path).categories["a"].examples == ("Grüße",)


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    missing = tmp_path / "none.yaml"
    with pytest.raises(ConfigError) as caught:
        load(missing)
    assert str(caught.value) == f"{missing}: cannot be read: No such file or directory"
    with pytest.raises(ConfigError) as caught:
        load(tmp_path)
    assert str(caught.value) == f"{tmp_path}: cannot be read: Is a directory"


def test_a_file_that_is_not_utf_8_says_where(tmp_path: Path) -> None:
    path = tmp_path / "policies.yaml"
    path.write_bytes(b"version: 1\n# gr\xfc\xdfe\n")
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert str(caught.value) == f"{path}:2: is not UTF-8 text"


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["match", "ttl", "model", "examples", "quota", "cache", "a", "b"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from([*Settings.model_fields, "other"]),
        VALUES | st.fixed_dictionaries({"a": VALUES, "b": VALUES}),
        max_size=4,
    )
)
def test_any_yaml_is_settings_or_lines_that_name_the_file(data: dict[str, Any]) -> None:
    try:
        loads(yaml.safe_dump(data), "f")
    except ConfigError as exc:
        assert {line[:2] for line in exc.lines} == {"f:"}  # noqa: PT017 - either outcome is right
