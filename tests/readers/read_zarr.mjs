// Print, as JSON, what zarrita reads of a section: its header, and the elements of each tensor.
import { FileSystemStore } from "@zarrita/storage";
import * as zarr from "zarrita";

import { asWhole, widened } from "./bfloat16.mjs";
import { tensors } from "./tree.mjs";

const root = zarr.root(asWhole(new FileSystemStore(process.argv[2])));
const section = await zarr.open.v3(root.resolve(process.argv[3]), { kind: "group" });
const header = section.attrs.padiff;

const read = {};
for (const tensor of tensors(header.tree)) {
  try {
    const array = await zarr.open.v3(section.resolve(tensor.array), { kind: "array" });
    const { shape, dtype } = array;
    const whole = shape.includes(0) ? { data: [] } : await zarr.get(array);
    const data = shape.length ? whole.data : [whole];
    const values = Array.from(tensor.dtype === "bfloat16" ? widened(data) : data, String);
    read[tensor.array] = { shape, dtype, values };
  } catch (error) {
    read[tensor.array] = { dtype: tensor.dtype, error: String(error) };
  }
}
console.log(JSON.stringify({ header, read }));
