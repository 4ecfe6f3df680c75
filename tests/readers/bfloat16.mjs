// A store whose arrays of bfloat16 are whole numbers, and these as the floats that they are.
export function asWhole(store) {
  return {
    async get(key) {
      const bytes = await store.get(key);
      if (!bytes || !key.endsWith("zarr.json")) return bytes;
      const text = new TextDecoder().decode(bytes);
      return new TextEncoder().encode(text.replace('"data_type":"bfloat16"', '"data_type":"uint16"'));
    },
  };
}

export function widened(data) {
  return new Float32Array(Uint32Array.from(data, (bits) => bits << 16).buffer);
}
