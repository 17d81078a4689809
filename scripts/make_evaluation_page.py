"""Write docs/evaluation.md: ``KINDCACHE_EVALDATA=… python scripts/make_evaluation_page.py``.

Runs the evaluations with the shipped policies; takes some minutes. ``--limit`` and ``--output`` are
for a look at part of it: the page in docs/ is made without them.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "evaluation.md"
HEAD = """\
# Evaluation

What the shipped policies (`config/default.yaml`) serve on labelled data, and how much of it
wrongly, by the code that serves. This page is made by `scripts/make_evaluation_page.py`.

- **Pairs.** A fresh scope per pair; `q1` is stored, `q2` is asked. Label 1 = a correct answer to
  `q1` is correct for `q2`: serving it is right. Label 0 = serving it is wrong; most of these
  pairs were written as traps. Rows with an odd number in their id are the dev half, which may be
  looked at while developing; the final half is only scored.
- **Conversations.** The same with earlier messages: a conversation is stored up to its last user
  text, another one is asked. The messages before must be equal to the letter, so that a hit needs
  the same history and another wording at its end. Of MeanCache's dialogues the cases are derived:
  `first` rewords the first question, `follow_up` the second after the same words, `both` both of
  them; `other_history` asks the follow-up to the letter after another dialogue's first question.
- **Streams.** An empty cache; the queries in order; a hit is wrong when the stored prompt's key
  is another one's. These streams repeat far more than most real traffic does: read hit rates
  beside the stream's name, not as a promise.
- A threshold that holds on one kind of text does not hold on another. These figures say what
  happened on these files. To know your own, run the same command on your own labelled prompts.

How the shipped bar was chosen, and what that is worth: it is the bar that the pairs held back
from training certify for 1 % wrong hits, by the rule of `max_error_rate`, rounded up
(`training/calibrate.py`; `training/MODEL_CARD.md`); code, live data and prices have a stricter one.
Those pairs are written traps and rewordings in about equal parts. What was held back, asked as
one stream of prompts among siblings one word apart, has more wrong hits at that bar
(`training/held_stream.py`). The rate of 1 % was chosen over 1.5 % and 2 % with the figures of the
dev halves, of the word-order pairs and of the first half of three streams in view, so these and the
demo traffic are not unseen; nothing was chosen on a final half. The pair model's word lists were
written knowing a published error analysis of fow_cache, and part of its training text after a
look at what was missed in the dev half: figures on fow_cache are optimistic for that.

**What is still served wrongly.** Questions that do not say which of two things they are about
("How do I top up?": by card, by transfer), close relations, and most of all words that keep their
place in the sentence's sense but not their role ("Who taught Plato?", "Who did Plato teach?"). In
the streams, many wrong hits are queries that read alike under two labels ("Does it cost money to
top up?" and "Is there a top up fee?" have two keys in banking77). The filler that never repeats
does so after all: of its 36 hits by the pair model alone, read one by one, about 29 ask the same
thing twice ("where's the tv show the crossing filmed", "where did they film the show the
crossing"); the table counts them all as wrong.

**What is still missed.** Data labelled by intent calls "Is my withdrawal pending?" and "Why is my
withdrawal pending?" one; the pair model does not, and refuses many right hits of the streams for
that. It does not know all wordings that need knowledge of the world, and does not read pairs of
more than 96 tokens. Categories that are not cached (medical and personal prompts are among these
files) serve nothing, and prompts that the search does not find near enough are never judged. In
conversations, an answer of the model in other words is another history, even under
`history: equivalent`.
"""


@dataclass(frozen=True, slots=True)
class Section:
    """One run of ``kindcache evaluate``, with the groups that help a reader."""

    title: str
    protocol: str
    folder: str  # of the labelled data
    groups: tuple[str, ...]
    more: tuple[str, ...] = ()  # files of the project
    config: str = ""


SECTIONS = (
    Section("Pairs", "pairs", "pairs", ("half", "kind"), more=("tests/truth/word_order.jsonl",)),
    Section("Conversations", "conversations", "conversations", ("half", "kind")),
    Section(
        "Conversations with `history: equivalent`",
        "conversations",
        "conversations",
        ("half", "kind"),
        config="config/examples/conversations.yaml",
    ),
    Section("Streams", "stream", "streams", ("category",)),
)
BENCHES = ("bench/everyday.py", "bench/calibration.py")  # each writes its part into the page


def tables(section: Section, data: Path, limit: int | None) -> str:
    """Run one protocol over all files of a section and return its Markdown."""
    folder = data / section.folder
    files = sorted(str(path) for path in folder.iterdir() if ".jsonl" in path.name)
    command = [sys.executable, "-m", "kindcache.adapters.cli", "evaluate", section.protocol]
    command += [*files, *section.more]
    command += [word for name in section.groups for word in ("--by", name)]
    if section.config:
        command += ["--config", section.config]
    if limit is not None:
        command += ["--limit", str(limit)]
    done = subprocess.run(
        [*command, "--markdown"], check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    return done.stdout


def main() -> int:
    """Run everything and write the page; 1 when the data is not there."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--limit", type=int, help="rows per file; default: all")
    parser.add_argument("--output", type=Path, default=PAGE, help="default: docs/evaluation.md")
    options = parser.parse_args()
    data = os.environ.get("KINDCACHE_EVALDATA", "")
    if not data or not Path(data).is_dir():
        print("KINDCACHE_EVALDATA must name the folder of labelled data", file=sys.stderr)
        return 1
    sections = [f"## {s.title}\n\n{tables(s, Path(data), options.limit)}" for s in SECTIONS]
    marks = [f"<!-- {Path(bench).stem} -->\n<!-- /{Path(bench).stem} -->\n" for bench in BENCHES]
    options.output.write_text("\n".join([HEAD, *sections, *marks]), encoding="utf-8")
    for bench in BENCHES if options.limit is None else ():
        subprocess.run([sys.executable, bench, "--into", str(options.output)], check=True, cwd=ROOT)
    print(f"wrote {options.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
