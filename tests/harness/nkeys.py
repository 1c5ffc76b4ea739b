"""Keys of NATS users, made as `nk -gen user` makes them."""

import base64
import binascii

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def nkey_pair() -> tuple[str, str]:
    """A user's public key and seed, as NATS writes them: base32 of prefix, key and CRC."""
    key = Ed25519PrivateKey.generate()
    raw = key.private_bytes(serialization.Encoding.Raw, serialization.PrivateFormat.Raw, serialization.NoEncryption())
    public = bytes([20 << 3]) + key.public_key().public_bytes_raw()
    seed = bytes([(18 << 3) | (20 << 3) >> 5, (20 << 3 & 31) << 3]) + raw
    return tuple(base64.b32encode(x + binascii.crc_hqx(x, 0).to_bytes(2, "little")).decode().rstrip("=")
                 for x in (public, seed))
