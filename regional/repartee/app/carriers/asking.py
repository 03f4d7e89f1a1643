"""Sends requests to carriers' APIs."""

import httpx

from repartee.app.carriers.api import CarrierRequest


async def send(client: httpx.AsyncClient, request: CarrierRequest) -> httpx.Response:
    """The carrier's answer, whatever it is. Raises httpx.HTTPError."""
    return await client.request(
        request.method,
        request.url,
        headers=dict(request.headers),
        auth=httpx.BasicAuth(*request.auth) if request.auth else httpx.USE_CLIENT_DEFAULT,
        data=dict(request.form) if request.form is not None else None,
        json=request.json,
    )
