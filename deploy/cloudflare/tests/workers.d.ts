// What the modules of lib/ use of the Workers runtime, for the tests that import them: the whole
// of that runtime's types contradicts Node's.

type R2Bucket = import("@cloudflare/workers-types").R2Bucket;

declare class FixedLengthStream extends TransformStream<Uint8Array, Uint8Array> {
  constructor(length: number);
}
