"""Net: everything that is asked of a server goes through here, so tokens, redirects, waits and errors have one home.

`Net` asks; `endpoints` says where the providers are, `redact` what of an address may be shown, `refusal` what a server
said when it refused, `trouble` what it means when it said nothing.
"""

from modelhub.fetch.net.client import Net as Net
from modelhub.fetch.net.patience import Patience as Patience
from modelhub.fetch.net.refusal import Refusal as Refusal
from modelhub.fetch.net.refusal import Refused as Refused
