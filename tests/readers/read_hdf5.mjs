// Print, as JSON, what h5wasm reads of a section: its header, and the elements of each tensor.
import h5wasm from "h5wasm/node";

import { tensors } from "./tree.mjs";

await h5wasm.ready;
const file = new h5wasm.File(process.argv[2], "r");
const section = file.get(process.argv[3]);
const header = JSON.parse(section.attrs.padiff.value);

const read = {};
for (const tensor of tensors(header.tree)) {
  try {
    const array = section.get(tensor.array);
    const value = array.value;
    const values = array.shape.length ? Array.from(value, String) : [String(value)];
    read[tensor.array] = { shape: array.shape, dtype: array.dtype, values };
  } catch (error) {
    read[tensor.array] = { dtype: tensor.dtype, error: String(error) };
  }
}
console.log(JSON.stringify({ header, read }));
