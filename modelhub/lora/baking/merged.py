"""LoRAs baked into a merge: what a plan of it asks for, which knows no LoRAs itself."""

from __future__ import annotations

from collections.abc import Sequence

from modelhub.catalog.identity import Identity
from modelhub.catalog.opener import Parent
from modelhub.catalog.weighing.weight import Weight
from modelhub.formats.header import Header
from modelhub.lora.baking.chains import Read
from modelhub.lora.baking.remarks import check
from modelhub.lora.baking.stack import Applied, Stack
from modelhub.lora.layers import Layers
from modelhub.lora.network import Network


def changes(header: Header, identity: Identity, loras: Sequence[tuple[Parent, Weight]], read: Read) -> Stack:
    """What `loras`, each with its strength, make of a model of this `header`, which is `identity`, one after the other.

    `read` gives the rows of the model. Raises IncompatibleError for what is no LoRA, or does not fit.
    """
    adapters = [Applied(Network(parent.source, parent.name), weight) for parent, weight in loras]
    stack = Stack(Layers(header, identity), header, adapters, read)
    check(stack)
    return stack
