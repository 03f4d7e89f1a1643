"""Twilio's API for calls. Pure.

https://www.twilio.com/docs/voice/api/call-resource
"""

from repartee.app.carriers.compatible import CompatibleCalls


def twilio_api(base_url: str, account: str, token: str) -> CompatibleCalls:
    """Documents are in the form."""
    calls = f"{base_url}/2010-04-01/Accounts/{account}/Calls"
    return CompatibleCalls(calls, lambda document: {"Twiml": document.text("twilio")}, auth=(account, token))
