/**
 * Messages of Protocol Buffers by a table of the fields that are read: what is not in the table is passed over, as a secret or a field of a later version;
 * what did not come has the value that the format gives it. A request is written by hand with `writer`.
 */
import { FleetError } from "@muster/protocol/errors";
import protobuf from "protobufjs/minimal.js";

type Reader = protobuf.Reader;
type Field<T> = {
  readonly id: number;
  readonly none: () => T;
  /** The value, given what came of this field before. */
  read(reader: Reader, before: T): T;
};
/** Fields by the name that they get. */
export type Shape = { readonly [name: string]: Field<unknown> };
export type Message<S extends Shape> = { readonly [K in keyof S]: ReturnType<S[K]["none"]> };

export const text = (id: number): Field<string> => ({ id, none: () => "", read: (from) => from.string() });
export const flag = (id: number): Field<boolean> => ({ id, none: () => false, read: (from) => from.bool() });
/** Any of the whole numbers, and the words of an enumeration. */
export const whole = (id: number): Field<number> => ({
  id,
  none: () => 0,
  read: (from) => Number(from.uint64()),
});
/** Null if it did not come. */
export const one = <S extends Shape>(id: number, shape: S): Field<Message<S> | null> => ({
  id,
  none: () => null,
  read: (from) => fieldsOf(shape, from, from.uint32() + from.pos),
});
export const many = <S extends Shape>(id: number, shape: S): Field<readonly Message<S>[]> => ({
  id,
  none: () => [],
  read: (from, before) => [...before, fieldsOf(shape, from, from.uint32() + from.pos)],
});
/** Whether it came, whatever is in it. */
export const present = (id: number): Field<boolean> => ({
  id,
  none: () => false,
  read: (from) => {
    from.skip(from.uint32());
    return true;
  },
});

/** Errors: GOBGP_REPLY for what is no such message. */
export function messageOf<S extends Shape>(shape: S, bytes: Uint8Array): Message<S> {
  try {
    return fieldsOf(shape, protobuf.Reader.create(bytes), bytes.byteLength);
  } catch (cause) {
    throw new FleetError("GOBGP_REPLY", `no such message: ${String(cause)}`, { cause });
  }
}

export const writer = (): protobuf.Writer => protobuf.Writer.create();

function fieldsOf<S extends Shape>(shape: S, reader: Reader, end: number): Message<S> {
  const fields = Object.entries(shape);
  const found = Object.fromEntries(fields.map(([name, { none }]) => [name, none()]));
  while (reader.pos < end) {
    const tag = reader.uint32();
    const field = fields.find(([, { id }]) => id === tag >>> 3);
    if (field === undefined) reader.skipType(tag & 7);
    else found[field[0]] = field[1].read(reader, found[field[0]]);
  }
  return found as Message<S>;
}
