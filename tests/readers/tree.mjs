// Every tensor of a layer tree.
export function* tensors(nodes) {
  for (const node of nodes) {
    yield* node.tensors;
    yield* tensors(node.children);
  }
}
