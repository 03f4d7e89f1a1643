"""SignalWire's compatibility API: Twilio's, but a call is led on by an address alone. Pure.

https://signalwire.com/docs/compatibility-api/rest/calls/create-a-call,
https://developer.signalwire.com/compatibility-api/rest/update-a-call
"""

from repartee.app.carriers.compatible import CompatibleCalls
from repartee.app.carriers.document_links import DocumentLinks


def signalwire_api(base_url: str, project: str, token: str, links: DocumentLinks) -> CompatibleCalls:
    """``base_url`` is the space's; documents are where ``links`` say."""
    calls = f"{base_url}/api/laml/2010-04-01/Accounts/{project}/Calls"
    return CompatibleCalls(
        calls,
        lambda document: {"Url": url} if (url := links.url("signalwire", document)) else {},
        auth=(project, token),
    )
