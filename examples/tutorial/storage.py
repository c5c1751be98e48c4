"""Plays the storage of ocis for the tutorial: `serve` answers the operator, `upload FILE…` announces files.

A file's name up to its first dot is the id of its upload. The real storage makes ids up.
"""

import asyncio
import base64
import json
import sys
import time
import uuid
from typing import Any

import nats
from aiohttp import web
from nats.errors import Error
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError

NATS = "nats://nats:4222"
STREAM = "main-queue"
DATA = "http://storage:8080/data/"
CONTENT = b"the bytes of a file\n"
USER = {"id": {"opaque_id": "mary", "idp": "https://idp.example", "type": 1}, "username": "mary"}
RESTARTED_BY = {"id": {"opaque_id": "postprocessing-restart"}}


async def publish(js: JetStreamContext, kind: str, payload: dict[str, Any]) -> None:
    """Send an event in the envelope that all services of ocis use."""
    metadata = {"eventid": str(uuid.uuid4()), "eventtype": f"events.{kind}"}
    envelope = {
        "ID": str(uuid.uuid4()),
        "Topic": STREAM,
        "Timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "Metadata": metadata,
        "Payload": base64.b64encode(json.dumps(payload).encode()).decode(),
    }
    await js.publish(STREAM, json.dumps(envelope).encode())


async def announce(js: JetStreamContext, filename: str, user: dict[str, Any] = USER) -> None:
    """Say that all bytes of an upload are there."""
    upload = filename.partition(".")[0]
    await publish(
        js,
        "BytesReceived",
        {
            "UploadID": upload,
            "Filename": filename,
            "Filesize": len(CONTENT),
            "URL": f"{DATA}{filename}?{uuid.uuid4().hex}",
            "ExecutingUser": user,
            "ResourceID": {"space_id": "space-of-mary", "opaque_id": f"node-{upload}"},
        },
    )


async def connected() -> JetStreamContext:
    """JetStream, with the stream that ocis would have made."""
    client = await nats.connect(NATS, max_reconnect_attempts=-1)
    js = client.jetstream()
    try:
        await js.stream_info(STREAM)
    except NotFoundError:
        await js.add_stream(name=STREAM)
    return js


async def serve() -> None:
    """Hand out bytes, confirm each end, and announce an upload again when the operator asks for it."""
    app = web.Application()
    app.router.add_get("/data/{name}", lambda _request: web.Response(body=CONTENT))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, None, 8080).start()
    js = await connected()
    names: dict[str, str] = {}
    events = await js.subscribe(STREAM, stream=STREAM, ordered_consumer=True)
    while True:
        try:
            message = await events.next_msg(timeout=None)
        except Error:
            continue
        event = json.loads(message.data)
        kind = event["Metadata"]["eventtype"].removeprefix("events.")
        payload = json.loads(base64.b64decode(event["Payload"]))
        upload = payload.get("UploadID", "")
        if kind == "BytesReceived" and payload["URL"].startswith(DATA):
            names[upload] = payload["Filename"]
        elif upload not in names:
            continue  # such as that of `helm test`, which plays the storage itself
        elif kind == "RestartPostprocessing":
            await announce(js, names[upload], RESTARTED_BY)
        elif kind == "PostprocessingFinished":
            print(f"{names[upload]}: {payload['Outcome']}", flush=True)
            failed = payload["Outcome"] != "continue"
            await publish(js, "UploadReady", {"UploadID": upload, "Failed": failed})


async def upload(filenames: list[str]) -> None:
    """Announce files."""
    js = await connected()
    for filename in filenames:
        await announce(js, filename)
        print(f"uploaded {filename}")


asyncio.run(serve() if sys.argv[1] == "serve" else upload(sys.argv[2:]))
