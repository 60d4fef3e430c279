"""Invites: codes that whoever has them joins a group by, and codes that are void."""

import pytest

from client import quoted, refusal, text, uuid7
from test_queues import until


@pytest.fixture
async def crew(user):
    """A group of two, and its path."""
    ana, bo = user("ana"), user("bo")
    group = (await ana.http.found("crew", [bo.id]))["conversation_id"]
    return ana, bo, group, f"/api/conversations/{quoted(group)}"


async def test_who_has_a_code_joins(user, crew):
    ana, bo, group, path = crew
    cy = user("cy")
    async with bo.device() as his:
        await his.send(group, text("before cy"), seen=1)
        invite = await ana.http.good("POST", f"{path}/invites", {"expires_in_s": 3600})
        assert (invite["created_by"], invite["expires_at"] - invite["created_at"]) == (ana.id, 3_600_000)
        assert (await ana.http.get(f"{path}/invites"))["invites"] == [invite]
        code = f"/api/invites/{invite['code']}"
        seen = {"conversation_id": group, "name": "crew", "members": 2, "expires_at": invite["expires_at"]}
        assert await cy.http.get(code) == seen
        joined = await cy.http.good("POST", code)
        change = {"type": "system", "change": {"kind": "added", "members": [cy.id]}}
        assert (joined["conversation_id"], joined["seq"], joined["change"]) == (group, 3, change)
        assert (await his.message(group, 3))["content"] == change
        # The same again is the same change, and nobody reads what was said before he came.
        assert await cy.http.good("POST", code) == joined
        page = await cy.http.get(f"{path}/messages", after=0)
        assert [entry["seq"] for entry in page["messages"]] == [3]
        await cy.http.say(text("thanks"), conversation_id=group)
        await his.message(group, 4)


async def test_only_who_may_add_invites(user, crew):
    ana, bo, _, path = crew
    eve = user("eve")
    for who, refused in ((bo, "forbidden"), (eve, "not_a_member")):
        for method in ("GET", "POST"):
            body = {} if method == "POST" else None
            assert await refusal(who.http.good(method, f"{path}/invites", body)) == (403, refused), method
    invite = await ana.http.good("POST", f"{path}/invites", {})
    assert await refusal(bo.http.good("DELETE", f"{path}/invites/{invite['invite_id']}")) == (403, "forbidden")
    assert (await eve.http.get(f"/api/invites/{invite['code']}"))["name"] == "crew"


async def test_void_codes_are_all_alike(user, crew):
    ana, _, group, path = crew
    eve = user("eve")
    revoked, expired, good = [
        await ana.http.good("POST", f"{path}/invites", {"expires_in_s": life}) for life in (3600, 1, 3600)
    ]
    revoking = f"{path}/invites/{revoked['invite_id']}"
    for _ in range(2):
        assert await ana.http.call("DELETE", revoking) == (204, None)
    own, secret = good["code"].split(".")
    assert (await eve.http.get(f"/api/invites/{good['code']}"))["conversation_id"] == group

    async def is_void(code):
        return (await eve.http.call("GET", f"/api/invites/{code}"))[0] == 404

    # Of a second; it may be over already.
    await until(lambda: is_void(expired["code"]))
    unknown = [f"{own}.{'0' * 32}", f"{uuid7()}.{secret}"]
    answers = [
        await eve.http.call(method, f"/api/invites/{code}")
        for code in (revoked["code"], expired["code"], *unknown)
        for method in ("GET", "POST")
    ]
    assert {(status, answer["code"], answer["message"]) for status, answer in answers} == {
        (404, "not_found", answers[0][1]["message"])
    }
    # Nobody came by them; what holds still does.
    described = await ana.http.get(path)
    assert eve.id not in [member["user_id"] for member in described["members"]]
    assert [invite["invite_id"] for invite in (await ana.http.get(f"{path}/invites"))["invites"]] == [good["invite_id"]]
    assert (await eve.http.good("POST", f"/api/invites/{good['code']}"))["conversation_id"] == group
