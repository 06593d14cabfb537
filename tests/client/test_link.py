"""What follows from the end of a connection."""

from __future__ import annotations

import pytest

from TCP_client import NOT_STORED, TURNED_AWAY_TRIES, Address, How, Outcome, Standing, Verdict, judge

HERE = Address("room.example", 9999)
IN = Standing(been_in=True, waiting=False, leaving=False, patient=False)
NEVER_IN = IN._replace(been_in=False)
BROKEN = [
    Outcome(How.UNREACHABLE, "it does not answer"),
    Outcome(How.NOT_A_CHAT, "SSH"),
    Outcome(How.SILENT),
    Outcome(How.BROKEN, "reset"),
    Outcome(How.HUNG_UP),
]


@pytest.mark.parametrize("outcome", BROKEN, ids=lambda outcome: outcome.how.name)
def test_a_break_is_followed_by_another_try_once_we_were_in(outcome: Outcome) -> None:
    code, sentence = judge(outcome, IN, HERE)
    assert code is None
    assert "room.example" in sentence
    assert judge(outcome, NEVER_IN, HERE) == Verdict(1, sentence), "else the address is wrong"


@pytest.mark.parametrize("outcome", BROKEN, ids=lambda outcome: outcome.how.name)
@pytest.mark.parametrize("waiting", [True, False])
def test_who_leaves_does_not_come_back_unless_it_must(outcome: Outcome, waiting: bool) -> None:
    leaving = IN._replace(leaving=True, waiting=waiting)
    assert judge(outcome, leaving, HERE) == Verdict(NOT_STORED if waiting else 0, "")
    code, _ = judge(outcome, leaving._replace(patient=True), HERE)
    assert code == (None if waiting else 0), "what is not stored is worth another try"


@pytest.mark.parametrize(("why", "code"), [("exit", 0), ("kicked by host", 1), ("banned", 1)])
def test_a_leave_that_somebody_decided_on_is_the_end(why: str, code: int) -> None:  # R36
    assert judge(Outcome(How.LEFT, why), IN, HERE) == Verdict(code, "")
    assert judge(Outcome(How.LEFT, why), IN._replace(waiting=True), HERE) == Verdict(NOT_STORED, "")


def test_a_program_that_is_turned_away_has_no_other_name_to_try() -> None:
    refused = Outcome(How.TURNED_AWAY, "The name bot is taken.")
    program = NEVER_IN._replace(patient=True, refusals=1)
    assert judge(refused, program, HERE) == Verdict(1, "Turned away: The name bot is taken.")
    back = program._replace(been_in=True)
    assert judge(refused, back, HERE).code is None, "its own old connection may still have the name"
    assert judge(refused, back._replace(refusals=TURNED_AWAY_TRIES + 1), HERE).code == 1


def test_who_gives_up_says_whether_something_is_lost() -> None:
    assert judge(Outcome(How.GIVEN_UP), IN, HERE) == Verdict(0, "")
    assert judge(Outcome(How.GIVEN_UP), IN._replace(waiting=True), HERE) == Verdict(NOT_STORED, "")
