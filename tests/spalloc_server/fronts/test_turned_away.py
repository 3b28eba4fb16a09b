"""How many connections the system turned away, also while nothing can be opened to look."""

from pathlib import Path

import pytest

from spalloc_server.fronts import listening
from spalloc_server.fronts.listening import TurnedAway


def test_none_are_told_while_it_can_not_be_looked_and_all_of_them_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counters = tmp_path / "netstat"
    monkeypatch.setattr(listening, "_COUNTERS", counters)
    counters.write_text("TcpExt: ListenOverflows\nTcpExt: 100\n")
    turned_away = TurnedAway()
    counters.unlink()
    assert turned_away.more() == 0
    counters.write_text("TcpExt: ListenOverflows\nTcpExt: 103\n")
    assert turned_away.more() == 3
    assert turned_away.more() == 0
