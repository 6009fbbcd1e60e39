"""CRC-32 at the speed of memory: zlib-ng's, which uses the processor's instructions for it, else Python's own."""

from __future__ import annotations

try:
    from zlib_ng.zlib_ng import crc32
except ImportError:  # no wheel for this machine: five to twenty times slower
    from zlib import crc32

__all__ = ["crc32"]
