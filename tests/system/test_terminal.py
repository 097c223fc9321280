"""A run as a person sees it: in windows of every width, without colours, in a pipe, and when it is broken off."""

import io
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from client.lanes import Lane
from client.progress import shown
from client.records import OUTCOMES
from tests.processes import RunningService, all_running, run_client, url_options
from tests.terminal import stream_on, terminal

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
VERDICT = "the services hold what they acknowledged."


@pytest.mark.parametrize("columns", [40, 80, 140])
def test_the_sample_leaves_its_lanes_above_a_table_that_fits_the_window(
    services: dict[str, RunningService], columns: int
) -> None:
    with terminal(columns) as it:
        status, _ = it.run(*url_options(services))
        lines = it.screen()
    assert status == 0
    for name, line in zip(services, lines, strict=False):
        assert re.match(rf"{name} +━+ +100% +10/10", line)
    assert lines[3] == ""
    assert lines[4].startswith("service   id  outcome")
    assert max(map(len, lines)) <= columns
    assert VERDICT in re.sub(r"\s+", " ", " ".join(lines))
    assert COLOUR.search(it.written)


def test_no_color_leaves_lanes_and_no_colours(services: dict[str, RunningService]) -> None:
    with terminal(80) as it:
        status, _ = it.run(*url_options(services), NO_COLOR="1")
    assert status == 0
    assert "100%  10/10" in it.screen()[0]
    assert not COLOUR.search(it.written)


def test_a_dumb_terminal_is_told_nothing_that_it_does_not_understand(services: dict[str, RunningService]) -> None:
    with terminal(80) as it:
        status, _ = it.run(*url_options(services), TERM="dumb")
    assert status == 0
    assert "\x1b" not in it.written
    assert it.written.startswith("service ")


def test_a_terminal_without_these_characters_gets_others(services: dict[str, RunningService]) -> None:
    with terminal(80) as it:
        it.run(*url_options(services), PYTHONIOENCODING="ascii")
    assert it.written.isascii()
    assert "####" in it.screen()[0]


def test_a_window_of_two_rows_is_drawn_over_in_place(services: dict[str, RunningService]) -> None:
    with terminal(80, rows=2) as it:
        it.run(*url_options(services), "--json", "-", stdout=subprocess.DEVNULL)
    assert it.screen() == [line for line in it.screen() if not line or line.startswith("users")]


def test_standard_output_has_the_result_alone_and_a_pipe_has_no_lanes(services: dict[str, RunningService]) -> None:
    with terminal(80) as it:
        status, out = it.run(*url_options(services), stdout=subprocess.PIPE)
    assert status == 0
    assert "\x1b" not in out
    assert "━" not in out
    assert re.match(r"users +━+", it.screen()[0])
    assert VERDICT not in it.written
    done = run_client(*url_options(services))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("batch", ["1", "100"])
def test_ctrl_c_leaves_the_last_picture_the_table_and_the_terminal_as_it_was(tmp_path: Path, batch: str) -> None:
    rows = "".join(f"{number},n{number},a@b\n" for number in range(1, 200_001))
    (tmp_path / "users.csv").write_text(f"id,name,email\n{rows}")
    with all_running(tmp_path) as services, terminal(100) as it:
        options = [*url_options(services), "--data", str(tmp_path), "--batch", batch]
        status, _ = it.run(
            *options, when=(r"users .* [1-9][0-9]* in flight", lambda client: client.send_signal(signal.SIGINT))
        )
    lines = it.screen()
    assert status == 130, it.written
    assert len([line for line in lines if re.match(r"users +━*─", line)]) == 1
    assert "Traceback" not in it.written
    assert any(VERDICT in line for line in lines)


def lane() -> Lane:
    return Lane("users", {**dict.fromkeys(OUTCOMES, 0), "created": 5}, 5, 10, estimated=False, elapsed_s=1)


def test_after_an_exception_the_picture_is_whole_and_nothing_draws_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    before = threading.active_count()
    with terminal(80) as it, stream_on(it) as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        with pytest.raises(ZeroDivisionError), shown(lambda: [lane()]):
            raise ZeroDivisionError
        monkeypatch.undo()
        it.read()
    assert re.match(r"users +━+─+ +50% +5/10", it.screen()[0])
    assert it.screen()[1:] == ["", ""]
    assert threading.active_count() == before


def test_what_a_narrower_window_has_broken_is_drawn_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each lane of 79 columns takes two rows of a window of 40."""
    asked: list[int] = []
    drawn = threading.Event()
    with terminal(80) as it, stream_on(it) as stream:

        def lanes() -> list[Lane]:
            asked.append(len(asked))
            if len(asked) == 2:
                it.resize(40)
                drawn.set()
            return [lane(), lane(), lane()]

        monkeypatch.setattr(sys, "stderr", stream)
        with shown(lanes):
            assert drawn.wait(timeout=10)
        monkeypatch.undo()
        it.read()
    assert re.findall(r"\x1b\[([0-9]+)A", it.written)[0] == "6"


def test_where_nothing_can_be_drawn_a_line_says_it_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    out, said = io.StringIO(), threading.Event()

    def lanes() -> list[Lane]:
        if out.getvalue():
            said.set()
        return [lane()]

    monkeypatch.setattr(sys, "stderr", out)
    monkeypatch.setattr("client.progress._ELSEWHERE_S", 0.01)
    with shown(lanes, "one after another"):
        assert said.wait(timeout=10)
    assert out.getvalue().splitlines()[0] == "one after another: users 5 of 10 (5/s)"
