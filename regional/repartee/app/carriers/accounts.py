"""The accounts at carriers that a region has keys for."""

import secrets
import time
from functools import partial

import jwt

from repartee.app.carriers.api import CarrierApi, PlacingApi
from repartee.app.carriers.compatible import CompatibleCalls
from repartee.app.carriers.document_links import DocumentLinks
from repartee.app.carriers.plivo import PlivoApi
from repartee.app.carriers.signalwire import signalwire_api
from repartee.app.carriers.telnyx import TelnyxApi
from repartee.app.carriers.twilio import twilio_api
from repartee.app.carriers.vonage import VonageApi
from repartee.app.settings import Settings

PLACING_CARRIERS = ("twilio", "telnyx", "signalwire", "plivo")
"""Carriers that calls can be placed with."""

TOKEN_S = 60


def carrier_api(settings: Settings, carrier: str) -> CarrierApi | None:
    """The carrier's API; None: there is no key for it."""
    match carrier:
        case "twilio":
            account, token = settings.twilio_account_sid, settings.twilio_auth_token.get_secret_value()
            return twilio_api(settings.twilio_base_url, account, token) if account and token else None
        case "telnyx":
            key = settings.telnyx_api_key.get_secret_value()
            account, application = settings.telnyx_account_id, settings.telnyx_application_id
            return TelnyxApi(settings.telnyx_base_url, key, account, application) if key else None
        case "signalwire":
            space, project = settings.signalwire_base_url, settings.signalwire_project_id
            token = settings.signalwire_api_token.get_secret_value()
            complete = space and project and token
            return signalwire_api(space, project, token, _links(settings)) if complete else None
        case "plivo":
            auth_id, token = settings.plivo_auth_id, settings.plivo_auth_token.get_secret_value()
            complete = auth_id and token
            return PlivoApi(settings.plivo_base_url, auth_id, token, _links(settings)) if complete else None
        case "vonage":
            application, key = settings.vonage_application_id, settings.vonage_private_key.get_secret_value()
            complete = application and key
            token_of = partial(vonage_token, application, key)
            return VonageApi(settings.vonage_base_url, token_of) if complete else None
    return None


def placing_api(settings: Settings, carrier: str) -> PlacingApi | None:
    """The carrier's API, if calls can be placed with it."""
    api = carrier_api(settings, carrier)
    if isinstance(api, VonageApi) or (isinstance(api, TelnyxApi) and not api.places):
        return None
    assert api is None or isinstance(api, CompatibleCalls | TelnyxApi | PlivoApi)
    return api


def vonage_token(application: str, private_key: str) -> str:
    """What one request to Vonage is allowed by."""
    now = int(time.time())
    claims = {"application_id": application, "iat": now, "exp": now + TOKEN_S, "jti": secrets.token_hex(16)}
    return jwt.encode(claims, private_key, algorithm="RS256")


def _links(settings: Settings) -> DocumentLinks:
    ticket_key = settings.ticket_key.get_secret_value()
    return DocumentLinks(settings.public_url, ticket_key, settings.region, time.time())
