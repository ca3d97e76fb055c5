// zlib's checksum, which Node has had by itself only since 22.2.
const table = Array.from({ length: 256 }, (_, byte) => {
  for (let bit = 0; bit < 8; bit += 1) byte = byte & 1 ? (byte >>> 1) ^ 0xedb88320 : byte >>> 1;
  return byte;
});

export const crc32 = (bytes) =>
  (bytes.reduce((crc, byte) => (crc >>> 8) ^ table[(crc ^ byte) & 0xff], 0xffffffff) ^ 0xffffffff) >>> 0;
