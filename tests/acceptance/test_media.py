"""Files: up by a presigned request, noted by the function behind the bucket, down for members alone."""

import base64
import hashlib
import json
import re

import botocore.exceptions
import httpx
import pytest

from client import direct, quoted, refusal
from test_queues import until

PICTURE = b"not much of a picture"


def sha256(content):
    return base64.b64encode(hashlib.sha256(content).digest()).decode()


@pytest.fixture
async def store(stack):
    """Whoever has nothing but URLs."""
    async with httpx.AsyncClient(timeout=60, trust_env=False, verify=stack.endpoint.tls()) as client:
        yield client


async def announce(user, content=PICTURE, content_type="image/png"):
    upload = {"content_type": content_type, "size": len(content), "sha256": sha256(content)}
    return await user.http.good("POST", "/api/media", upload)


async def put(store, announced, content=PICTURE, url=None, **changed):
    """The status and the code with which the bucket answers; an empty header is left out."""
    headers = {name: it for name, it in (announced["upload"]["headers"] | changed).items() if it}
    answer = await store.put(url or announced["upload"]["url"], content=content, headers=headers)
    return answer.status_code, code_of(answer)


def code_of(answer):
    return answer.text.partition("<Code>")[2].partition("</Code>")[0]


def send(sender, to, media_id):
    content = {"type": "media", "media_id": media_id}
    return sender.http.call("POST", "/api/messages", {"to_user_id": to.id, "content": content})


async def once_noted(sender, to, media_id):
    """Sends an upload as soon as the bucket has told the server of it by itself."""

    async def sent():
        status, answer = await send(sender, to, media_id)
        assert status == 201 or answer["code"] == "not_ready", answer
        return answer if status == 201 else None

    return await until(sent)


def media(conversation, seq):
    return f"/api/conversations/{quoted(conversation)}/messages/{seq}/media"


def key_of(announced):
    """In the bucket: the end of the URL's path."""
    return "/".join(announced["upload"]["url"].partition("?")[0].rsplit("/", 2)[1:])


def is_stored(stack, key):
    try:
        stack.client("s3").head_object(Bucket=stack.resource("MediaBucket"), Key=key)
    except botocore.exceptions.ClientError as error:
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 404, error
        return False
    return True


async def test_file_goes_up_is_sent_and_comes_down(user, store):
    ana, bo, eve = user("ana"), user("bo"), user("eve")
    conversation = direct(ana.id, bo.id)
    announced = await announce(ana)
    media_id = announced["media_id"]
    assert (await send(ana, bo, media_id))[1]["code"] == "not_ready"
    assert await refusal(ana.http.good("POST", f"/api/media/{media_id}/complete")) == (409, "not_ready")
    assert await put(store, announced) == (200, "")
    async with bo.device() as his:
        # Nobody says `complete`: what the bucket tells the function is enough.
        assert (await once_noted(ana, bo, media_id))["seq"] == 1
        file = {"content_type": "image/png", "size": len(PICTURE), "sha256": sha256(PICTURE)}
        got = await his.message(conversation, 1)
        assert got["content"] == {"type": "media", "media_id": media_id, "file": file}
    for member in (bo, ana):
        download = await member.http.get(media(conversation, 1))
        assert {key: download[key] for key in file} == file
        read = await store.get(download["url"])
        assert (read.status_code, read.content, read.headers["content-type"]) == (200, PICTURE, "image/png")
    part = await store.get(download["url"], headers={"range": "bytes=4-7"})
    assert (part.status_code, part.content) == (206, PICTURE[4:8])
    # A stranger learns nothing, and a URL with another signature is worth nothing.
    assert await refusal(eve.http.get(media(conversation, 1))) == (403, "not_a_member")
    assert (await refusal(eve.http.get(media(direct(ana.id, eve.id), 1))))[0] == 403
    forged = re.sub("(?<=X-Amz-Signature=)[0-9a-f]{8}", "00000000", download["url"])
    assert (await store.get(forged)).status_code == 403
    # Nor may she send it.
    assert (await send(eve, bo, media_id))[1]["code"] == "not_found"


async def test_request_for_an_upload_is_good_for_nothing_else(user, store):
    ana = user("ana")
    announced, other = await announce(ana), await announce(ana)
    url = announced["upload"]["url"]
    forged = 403, "SignatureDoesNotMatch"
    elsewhere = url.replace(key_of(announced), key_of(other))
    longer = url.replace("X-Amz-Expires=3600", "X-Amz-Expires=36000")
    assert len({url, elsewhere, longer}) == 3
    for what, asked, expected in [
        ("another key", {"url": elsewhere}, forged),
        ("for longer", {"url": longer}, forged),
        ("more", {"content": PICTURE + b"!"}, forged),
        ("less", {"content": PICTURE[1:]}, forged),
        ("other bytes", {"content": PICTURE.upper()}, (400, "BadDigest")),
        ("another hash", {"content": PICTURE.upper(), "x-amz-checksum-sha256": sha256(PICTURE.upper())}, forged),
        ("another type", {"content-type": "text/html"}, forged),
        ("over what is there", {"if-none-match": ""}, forged),
    ]:
        assert await put(store, announced, **asked) == expected, what
    for method in ("GET", "DELETE"):
        answer = await store.request(method, url, headers=announced["upload"]["headers"])
        assert (answer.status_code, code_of(answer)) == forged, method
    for upload in (announced, other):
        path = f"/api/media/{upload['media_id']}/complete"
        assert await refusal(ana.http.good("POST", path)) == (409, "not_ready")
    assert await put(store, announced) == (200, "")
    assert await put(store, announced) == (412, "PreconditionFailed")


@pytest.mark.needs("unsigned")
async def test_nothing_goes_in_or_out_without_a_signature(user, store):
    ana = user("ana")
    announced = await announce(ana)
    place = announced["upload"]["url"].partition("?")[0]
    assert await put(store, announced, url=place) == (403, "AccessDenied")
    assert await put(store, announced) == (200, "")
    for url in (place, place.rpartition("/")[0], place.rsplit("/", 2)[0]):
        answer = await store.get(url)
        assert (answer.status_code, code_of(answer)) == (403, "AccessDenied"), url


async def test_what_a_scanner_blocks_is_read_by_nobody(stack, user, store):
    ana, bo = user("ana"), user("bo")
    announced = await announce(ana)
    media_id, key = announced["media_id"], key_of(announced)
    assert await put(store, announced) == (200, "")
    path = f"/api/media/{media_id}/complete"
    assert await ana.http.good("POST", path) == {"media_id": media_id, "state": "clean"}
    assert (await send(ana, bo, media_id))[0] == 201
    verdict = {"bucket": stack.resource("MediaBucket"), "key": key, "verdict": "blocked"}
    told = stack.client("events").put_events(
        Entries=[{"Source": "petrel.scanner", "DetailType": "verdict", "Detail": json.dumps(verdict)}]
    )
    assert told["FailedEntryCount"] == 0

    async def blocked():
        return (await ana.http.good("POST", path))["state"] == "blocked"

    await until(blocked)
    assert await refusal(bo.http.get(media(direct(ana.id, bo.id), 1))) == (403, "forbidden")
    assert (await send(ana, bo, media_id))[1]["code"] == "forbidden"


async def test_upload_that_nobody_sent_in_time_is_gone(stack, user, store):
    ana = user("ana")
    announced = await announce(ana)
    media_id, key = announced["media_id"], key_of(announced)
    assert await put(store, announced) == (200, "")
    row = {"pk": f"f#{media_id}", "sk": f"u#{ana.id}"}
    done = {"batchItemFailures": []}
    # Its row is there: who says that it ran out is mistaken.
    assert stack.ran_out("MediaFunction", **row) == done
    assert is_stored(stack, key)
    stack.client("dynamodb").delete_item(
        TableName=stack.outputs["ConversationsTableName"], Key={name: {"S": it} for name, it in row.items()}
    )
    assert stack.ran_out("MediaFunction", **row) == done
    assert not is_stored(stack, key)
    assert await refusal(ana.http.good("POST", f"/api/media/{media_id}/complete")) == (404, "not_found")
