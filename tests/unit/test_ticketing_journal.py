"""A device's journal: what it said "admitted" to is on the disk, whatever happens to the device."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import pytest

from services.ticketing.device import FirstAdmission, Verdict
from services.ticketing.journal import Journal, JournalError
from shared.runtime.ids import new_id
from tests.gate_support import EVENT_ID, NOW, code, pack_of, qr, row

FIRST, SECOND = code(number=1), code(number=2)
PACK = pack_of([row(FIRST), row(SECOND)])
ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "north.journal"


def admit(journal: Journal, text: str) -> Verdict:
    return journal.admit(PACK, text, gate="north", who="ada", now=NOW, new_id=new_id)


def test_an_admission_is_known_after_the_device_was_off(path: Path) -> None:
    with Journal(path) as journal:
        assert admit(journal, str(FIRST)).lets_in
        assert admit(journal, qr(SECOND)).lets_in
    with Journal(path) as journal:
        verdict = admit(journal, qr(FIRST))
        assert (verdict.outcome, verdict.first) == ("already_admitted", FirstAdmission("north", NOW))
        assert [one.code for one in journal.waiting()] == [str(FIRST), str(SECOND)]
    assert len(path.read_bytes().splitlines()) == 2


def test_a_refusal_writes_nothing(path: Path) -> None:
    with Journal(path) as journal:
        assert not admit(journal, str(code("ZZ2345"))).lets_in
    assert path.read_bytes() == b""


def test_what_was_synced_is_not_sent_again_and_still_not_let_in_again(path: Path) -> None:
    with Journal(path) as journal:
        admit(journal, str(FIRST))
        admit(journal, str(SECOND))
        journal.mark_synced([journal.waiting()[0].admission_id, UUID(int=0)])
    with Journal(path) as journal:
        assert [one.code for one in journal.waiting()] == [str(SECOND)]
        assert admit(journal, str(FIRST)).outcome == "already_admitted"


def test_another_events_admissions_are_no_matter_here(path: Path) -> None:
    with Journal(path) as journal:
        admit(journal, str(FIRST))
        assert set(journal.admitted(EVENT_ID)) == {str(FIRST)}
        assert journal.admitted(UUID(int=0)) == {}


@pytest.mark.parametrize("kept", [1, 40, -1])
def test_half_a_line_is_dropped_and_the_next_admission_is_whole(path: Path, kept: int) -> None:
    with Journal(path) as journal:
        admit(journal, str(FIRST))
        before = path.read_bytes()
        admit(journal, str(SECOND))
    torn = path.read_bytes()[len(before) : kept if kept < 0 else len(before) + kept]
    path.write_bytes(before + torn)
    with Journal(path) as journal:
        assert [one.code for one in journal.waiting()] == [str(FIRST)]
        assert admit(journal, str(SECOND)).lets_in
    with Journal(path) as journal:
        assert [one.code for one in journal.waiting()] == [str(FIRST), str(SECOND)]


@pytest.mark.parametrize("line", [b"{}", b"nonsense", b'{"kind":"admission"}', b"[]"])
def test_damage_in_the_middle_is_refused_and_named(path: Path, line: bytes) -> None:
    with Journal(path) as journal:
        admit(journal, str(FIRST))
    path.write_bytes(path.read_bytes() + line + b"\n")
    with pytest.raises(JournalError, match="line 2, is damaged"), Journal(path):
        pass


def test_two_processes_of_a_device_do_not_share_a_journal(path: Path) -> None:
    with Journal(path), pytest.raises(JournalError, match="another process"), Journal(path):
        pass


def test_a_disk_that_takes_half_a_line_admits_nobody_and_spoils_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    with Journal(path) as journal:
        admit(journal, str(FIRST))
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", lambda descriptor, line: write(descriptor, line[:20]))
            with pytest.raises(JournalError, match="disk is full"):
                admit(journal, str(SECOND))
        assert admit(journal, str(SECOND)).lets_in
    with Journal(path) as journal:
        assert [one.code for one in journal.waiting()] == [str(FIRST), str(SECOND)]


KILLED = """
import os, signal, sys
from datetime import datetime
from pathlib import Path
from uuid import uuid4
import orjson
from services.ticketing.journal import Journal
from services.ticketing.pack import read_pack
journal_path, pack_path, now, *codes = sys.argv[1:]
pack = read_pack(orjson.loads(Path(pack_path).read_bytes()))
with Journal(Path(journal_path)) as journal:
    for code in codes:
        at = datetime.fromisoformat(now)
        assert journal.admit(pack, code, gate="north", who="ada", now=at, new_id=uuid4).lets_in
        print(code, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_device_that_is_killed_has_kept_what_it_admitted(path: Path, tmp_path: Path) -> None:
    pack = tmp_path / "pack"
    pack.write_text(PACK.model_dump_json())
    arguments = [str(path), str(pack), NOW.isoformat(), str(FIRST), str(SECOND)]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, *arguments], check=False, cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    said = done.stdout.split()
    with Journal(path) as journal:
        assert [one.code for one in journal.waiting()] == said == [str(FIRST), str(SECOND)]
