"""The accounts at carriers that a region has keys for."""

import time

from repartee.app.carriers.api import CarrierApi
from repartee.app.carriers.document_links import DocumentLinks
from repartee.app.carriers.plivo import PlivoApi
from repartee.app.carriers.signalwire import signalwire_api
from repartee.app.carriers.telnyx import TelnyxApi
from repartee.app.carriers.twilio import twilio_api
from repartee.app.settings import Settings

APIS = ("twilio", "telnyx", "signalwire", "plivo")
"""Carriers whose APIs can be asked for something."""


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
    return None


def _links(settings: Settings) -> DocumentLinks:
    ticket_key = settings.ticket_key.get_secret_value()
    return DocumentLinks(settings.public_url, ticket_key, settings.region, time.time())
