"""What to do about a server whose TLS is not to be trusted."""

import ssl


def tls_advice(error: ssl.SSLError, variable: str) -> str:
    """What to do about a certificate, by OpenSSL's number for what is wrong with it."""
    match getattr(error, "verify_code", 0):
        case 9 | 10:  # not yet valid, or no longer
            return (
                f"Check this machine's clock; if that is right, the certificate of the server in {variable} "
                "has to be renewed."
            )
        case 62 | 64:  # of another name, or address
            return f"Check {variable}: it must name the host as the server's certificate names it."
        case code if code:
            return (
                "Look for a proxy that opens TLS. If the server is yours, add who signed its certificate to this "
                "machine's (ca-certificates), or to a file of all that it trusts, which SSL_CERT_FILE names."
            )
    return f"Check {variable} (its server may speak http:// only), and for a proxy that opens TLS."
