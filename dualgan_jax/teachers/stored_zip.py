"""Reads the zip archives that PyTorch writes: uncompressed, in one folder."""

import io
import zipfile
from collections.abc import Sequence

import numpy as np


class StoredZip:
  """A zip archive whose members are not compressed, and fit into the file.

  Attributes:
    num_bytes: size of the file.
    member_names: of all members, without the folder that they lie in.
  """

  def __init__(self, file_bytes: bytes, marker: str):
    """Finds the folder, and the order of bytes in numbers.

    Args:
      file_bytes: of the file.
      marker: a member that lies in the folder, and is there once.

    Raises:
      ValueError: it has no such member, or several.
    """
    self.num_bytes = len(file_bytes)
    self._archive = zipfile.ZipFile(io.BytesIO(file_bytes))
    all_names = self._archive.namelist()
    marked_names = [
      name for name in all_names if name.partition('/')[2] == marker
    ]
    if len(marked_names) != 1:
      raise ValueError(f'it has {len(marked_names)} members {marker}')
    self._folder = marked_names[0].removesuffix(marker)
    self.member_names: Sequence[str] = tuple(
      name.removeprefix(self._folder) for name in all_names
    )
    self._unread_bytes, self._members = self.num_bytes, {}
    # Older versions wrote little-endian numbers only.
    byte_order = b'little'
    if 'byteorder' in self.member_names:
      byte_order = self.read('byteorder')
      if byte_order not in (b'little', b'big'):
        raise ValueError('its byteorder is neither little nor big')
    self._is_big_endian = byte_order == b'big'

  def read(self, member_name: str) -> bytes:
    """Reads a member once, if the sum of all that were read fits the file.

    Raises:
      ValueError: they do not fit, or it is compressed.
      KeyError: there is none.
    """
    if member_name not in self._members:
      member = self._archive.getinfo(self._folder + member_name)
      # PyTorch never compresses, and a small member could become huge.
      if member.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f'{member.filename} is compressed')
      self._unread_bytes -= member.file_size
      if member.file_size != member.compress_size or self._unread_bytes < 0:
        raise ValueError(f'{member.filename} is larger than the file')
      self._members[member_name] = self._archive.read(member)
    return self._members[member_name]

  def in_native_order(self, numbers: np.ndarray) -> np.ndarray:
    """Converts numbers to this machine's order of bytes."""
    if not self._is_big_endian or numbers.itemsize == 1:
      return numbers
    # As integers, since not all of NumPy's types can be swapped.
    bits = numbers.view(f'u{numbers.itemsize}')
    return bits.byteswap().view(numbers.dtype)
