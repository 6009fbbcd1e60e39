"""Queue: downloads that survive a restart; several run at once, in this process and in others."""

from modelhub.fetch.queue.pasted import full_addresses as full_addresses
from modelhub.fetch.queue.queueing import Outcome as Outcome
from modelhub.fetch.queue.queueing import add as add
from modelhub.fetch.queue.queueing import remove as remove
from modelhub.fetch.queue.queueing import run as run
