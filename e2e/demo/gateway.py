"""The data gateway: serves the bytes of an upload to whoever has a signed URL."""

from pathlib import Path

from aiohttp import web

from e2e.demo.signing import Signer, TokenError


class DataGateway:
    """GET /data/<token> on a free loopback port: 403 for a bad or expired token, 404 for a gone upload."""

    def __init__(self, uploads: Path) -> None:
        self.uploads = uploads
        self.issued: list[str] = []
        """Every token it gave out: a secret each, and what leak checks look for."""
        self.downloads: list[tuple[str, int]] = []
        """Each request as upload id (empty when unknown) and HTTP status."""
        self._signer = Signer()
        self._base = ""
        app = web.Application()
        app.router.add_get("/data/{token}", self._download)
        # A request line holds a bearer token: it must not get into an access log.
        self._runner = web.AppRunner(app, access_log=None)

    async def start(self) -> None:
        """Listen."""
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self._base = f"http://{host}:{port}"

    async def stop(self) -> None:
        """Close the port."""
        await self._runner.cleanup()

    def url(self, upload_id: str, lifetime: float) -> str:
        """A new download URL, good for so many seconds."""
        token = self._signer.sign(f"{self._base}/tus/{upload_id}", lifetime)
        self.issued.append(token)
        return f"{self._base}/data/{token}"

    async def _download(self, request: web.Request) -> web.StreamResponse:
        try:
            target = self._signer.target(request.match_info["token"])
        except TokenError as error:
            self.downloads.append(("", web.HTTPForbidden.status_code))
            raise web.HTTPForbidden from error
        upload_id = target.rpartition("/")[2]
        path = self.uploads / upload_id
        found = path.is_file()
        self.downloads.append((upload_id, web.HTTPOk.status_code if found else web.HTTPNotFound.status_code))
        if not found:
            raise web.HTTPNotFound
        return web.FileResponse(path)
