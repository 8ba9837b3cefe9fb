"""Damages a run's files one at a time and starts the same command again: is it noticed and mended?

    python -m benchmarking.chaos.damage --damages 300 --work DIR

Two runs are attacked: a finished one, and one that was killed in the middle of its last training, which has
a process of its own and two mid-stage checkpoints; a third of the damages is in the files of that training.
Each damage is one file and one kind of harm. After it ``doctor`` and then the command run. *Silent*:
a result differs from the undamaged run's, or the file stays damaged and neither has named it.
*Stuck*: the command does not end with exit code 0 in two starts. *Traceback*: any.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarking.chaos.experiment import arguments, call, results, tiny_model
from benchmarking.chaos.forked import forked, warm
from benchmarking.chaos.kill_points import die_when_there
from sso.checkpoint_seal import CURVE, REFERENCES

Harm = Callable[[Path, random.Random], None]
GUARD_S = 3.0
TRAINING = "sso/iter-1/policy/work"
KINDS = ("finished", "killed", "killed training")
MADE_ANEW = ("tables/", "run.lock", ".run.json", ".claims/")
"""Written at every start, read by none."""


def flip(file: Path, chance: random.Random) -> None:
    """One bit, with the file's times set back."""
    data, state = bytearray(file.read_bytes()), file.stat()
    if data:
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    file.write_bytes(data or b"x")
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))


def zero(file: Path, chance: random.Random) -> None:
    """A third of the file is zero bytes, as after a lost page."""
    data = bytearray(file.read_bytes() or b"x")
    start, size = chance.randrange(len(data)), max(1, len(data) // 3)
    data[start : start + size] = bytes(len(data[start : start + size]))
    file.write_bytes(data)


def cut(file: Path, chance: random.Random) -> None:
    """The file ends somewhere before its end."""
    data = file.read_bytes()
    file.write_bytes(data[: chance.randrange(len(data))] if data else b"x")


def empty(file: Path, chance: random.Random) -> None:
    """Nothing is left but the name."""
    file.write_bytes(b"" if file.stat().st_size else b"x")


def remove(file: Path, chance: random.Random) -> None:
    """The file is gone."""
    file.unlink()


def garbage(file: Path, chance: random.Random) -> None:
    """Other bytes of the same number."""
    file.write_bytes(chance.randbytes(max(1, file.stat().st_size)))


def lengthen(file: Path, chance: random.Random) -> None:
    """The last line stands twice."""
    lines = file.read_bytes().splitlines(keepends=True) or [b"x"]
    file.write_bytes(b"".join([*lines, lines[-1]]))


def digit(file: Path, chance: random.Random) -> None:
    """One digit is another one: still valid JSON, another figure."""
    data = bytearray(file.read_bytes())
    places = [i for i, byte in enumerate(data) if 0x30 <= byte <= 0x39]
    if not places:
        flip(file, chance)
        return
    place = chance.choice(places)
    data[place] = 0x30 + (data[place] - 0x30 + 1) % 10
    file.write_bytes(data)


def swap(file: Path, chance: random.Random) -> None:
    """The file and another of its name, or beside it, have changed places: each is whole by itself."""
    near = [p for p in file.parents[1].glob(f"*/{file.name}") if p != file]
    others = near or [p for p in sorted(file.parent.iterdir()) if p.is_file() and p != file]
    if not others:
        garbage(file, chance)
        return
    other = chance.choice(sorted(others))
    mine, theirs = file.read_bytes(), other.read_bytes()
    file.write_bytes(theirs)
    other.write_bytes(mine)


HARMS: tuple[Harm, ...] = (flip, zero, cut, empty, remove, garbage, lengthen, digit, swap)


@dataclass(frozen=True)
class Result:
    """What became of one damage."""

    place: str
    harm: str
    state: str
    detail: str = ""


def attack(
    template: Path, place: str, harm: Harm, chance: random.Random, expected: dict[str, bytes]
) -> Result:
    """Damage a fresh copy (in the same place: paths are part of nothing) and start twice at most."""
    run = template.with_name("run")
    shutil.rmtree(run, ignore_errors=True)
    shutil.copytree(template, run)
    file, model = run / place, template.with_name("model")
    before = file.read_bytes()
    harm(file, chance)
    after = file.read_bytes() if file.is_file() else None
    if before == after:
        return Result(place, harm.__name__, "no change")
    doctor = call(["doctor", str(run)])
    first = call(arguments(model, run))
    second = first if first.code == 0 else call(arguments(model, run))
    said = doctor.err + doctor.out + first.err + first.out
    detail = " | ".join((first.err.strip().splitlines() or [""])[-3:])[:300]
    if "Traceback" in said + second.err:
        return Result(place, harm.__name__, "traceback", detail)
    if second.code != 0:
        return Result(place, harm.__name__, "stuck", detail)
    found = results(run)
    if found != expected:
        wrong = [n for n in expected | found if expected.get(n) != found.get(n)]
        return Result(place, harm.__name__, "silent", f"differs: {wrong[:3]} {detail}")
    kept = (template.with_name("finished") / place).is_file()  # others go when their stage is done
    left = kept and (file.read_bytes() if file.is_file() else None) == after
    named = Path(place).name in doctor.err + first.out + first.err or any(
        part.startswith("checkpoint-") and part in said for part in Path(place).parts
    )
    if left and not named and not place.startswith(MADE_ANEW):
        return Result(place, harm.__name__, "silent", "stays damaged, named by nobody")
    return Result(place, harm.__name__, "mended" if named else "made anew")


def resume_attack(killed: Path, place: str, harm: Harm, chance: random.Random) -> Result:
    """Damage a copy of the killed training's own files; what would a resumed training start from?

    *Silent*: from bytes that are not the undamaged ones. Much faster than a whole start, for many damages.
    """
    from sso.checkpoint_seal import newest_whole

    whole = killed / TRAINING
    with tempfile.TemporaryDirectory() as folder:
        work = Path(shutil.copytree(whole, Path(folder) / "work"))
        before = _contents(work)
        harm(work / place, chance)
        if _contents(work) == before:
            return Result(place, harm.__name__, "no change")
        with quiet_warnings() as said:
            start = newest_whole(work)
        if start is None:
            return Result(place, harm.__name__, "mended", "from the beginning")
        left = [p for p in work.rglob("*") if p.is_file() and (start in p.parents or _read(p))]
        wrong = [
            p for p in left if not _same(p.read_bytes(), before[p.relative_to(work).as_posix()], p)
        ]
    detail = f"from {start.name}; {' '.join(said)[:200]}"
    return Result(place, harm.__name__, "silent" if wrong else "mended", detail)


def _read(file: Path) -> bool:
    """Whether a resumed training reads the file beside its checkpoint."""
    return file.name in (CURVE, REFERENCES)


def _same(now: bytes, before: bytes, file: Path) -> bool:
    return before.startswith(now) if file.name == CURVE else now == before


def _contents(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


@contextlib.contextmanager
def quiet_warnings() -> Iterator[list[str]]:
    """The warnings of the program, kept and not printed."""
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("sso")
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield said
    finally:
        logger.removeHandler(handler)
        logger.propagate = True


def targets(template: Path, kind: str, chance: random.Random) -> list[str]:
    """The files of a state that are damaged, in the order of the attacks."""
    files = sorted(p.relative_to(template).as_posix() for p in template.rglob("*") if p.is_file())
    if kind == "killed training":
        files = [name for name in files if name.startswith(TRAINING)]
    chance.shuffle(files)
    return files


def templates(work: Path) -> dict[str, Path]:
    """A finished run, and one killed in its last training; both on the same model."""
    model = tiny_model(work / "model")
    run = work / "run"
    made = {}
    for name, last in (
        ("finished", None),
        ("killed", f"{TRAINING}/checkpoints/checkpoint-3"),
    ):
        shutil.rmtree(run, ignore_errors=True)

        def start(last: str | None = last) -> int:
            if last is not None:
                die_when_there(run / last / "checksums.json")
            return call(arguments(model, run)).code

        code = forked(start)
        assert (code == 0) == (last is None), (name, code)
        time.sleep(GUARD_S)  # the training's own process ends with its parent
        shutil.rmtree(work / name, ignore_errors=True)
        shutil.copytree(run, work / name)
        made[name] = work / name
    return made


def main() -> None:
    """Attack, print the counts as JSON, write every result to ``DIR/damage.json``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--damages", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--state", choices=KINDS, action="append", help="only this state")
    parser.add_argument(
        "--resume", type=int, default=0, help="damages held against the resume alone"
    )
    parser.add_argument("--work", type=Path, required=True)
    options = parser.parse_args()
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    os.environ["SSO_BENCH_CACHE"] = str(work / "cache")
    warm()
    made = forked(lambda: {k: str(v) for k, v in templates(work).items()}, 600)
    expected = results(Path(made["finished"]))
    if options.resume:
        killed = Path(made["killed"])
        names = [
            n.removeprefix(f"{TRAINING}/") for n in targets(killed, KINDS[2], random.Random(0))
        ]
        attacks = [
            resume_attack(killed, name, harm, random.Random(f"{number} {name} {harm.__name__}"))
            for number in range(options.resume)
            for name, harm in [
                (names[number % len(names)], HARMS[number // len(names) % len(HARMS)])
            ]
        ]
        print(json.dumps({"resumed from": Counter(a.detail.split(";")[0] for a in attacks)}))
        print(json.dumps({"resume": Counter(a.state for a in attacks)}), flush=True)
        for result in attacks:
            if result.state == "silent":
                print(json.dumps(asdict(result)))
    kinds = options.state or list(KINDS)
    chance, found = random.Random(options.seed), []
    began = time.monotonic()
    places = {kind: targets(Path(made[kind.split()[0]]), kind, chance) for kind in kinds}
    for number in range(options.damages):
        kind = kinds[number % len(kinds)]
        template = Path(made[kind.split()[0]])
        name = places[kind][number // len(kinds) % len(places[kind])]
        harm, seed = HARMS[number // len(kinds) % len(HARMS)], random.Random(number)
        outcome = forked(
            lambda t=template, n=name, h=harm, s=seed: asdict(attack(t, n, h, s, expected)), 900
        )
        result = Result(**outcome) if outcome else Result(name, harm.__name__, "killed or hung")
        found.append(result)
        (work / "damage.json").write_text(json.dumps([asdict(r) for r in found], indent=1))
        if result.state not in ("mended", "made anew", "no change"):
            print(json.dumps(asdict(result)), flush=True)
    states = Counter(result.state for result in found)
    seconds = round(time.monotonic() - began)
    print(json.dumps({"damages": len(found), **states, "seconds": seconds}))


if __name__ == "__main__":
    main()
