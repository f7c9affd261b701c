/**
 * Hears from systemd that a unit began or ended, over the system bus (D-Bus). As much of the protocol as that takes: the log-in by user id, three
 * calls, and signals of which the path and one property are read. The libraries there are carry a hundred times of it and are not kept up.
 * Source: the D-Bus specification 0.43, "Message Protocol" and "Authentication Protocol"; org.freedesktop.systemd1(5).
 */
import { createConnection, type Socket } from "node:net";
import { endianness } from "node:os";
import { FleetError } from "@muster/protocol/errors";
import { backoff_ms, pause } from "../wait.ts";

export const SYSTEM_BUS = "/run/dbus/system_bus_socket";
const UNITS = "/org/freedesktop/systemd1/unit/";
/** A bus takes 512 rules of a connection; the rest is seen at the loop's own pace. */
const UNITS_LIMIT = 400;
const MESSAGE_LIMIT_BYTES = 1024 * 1024;
const CALL = 1;
const ERROR = 3;
const SIGNAL = 4;
const LITTLE = endianness() === "LE";

export type SignalListener = {
  /** A unit's ActiveState is another one, or may be: the connection was made anew. */
  readonly changed: () => void;
  /** Told once for each kind of failure; it is tried again by itself. */
  readonly failed: (error: FleetError) => void;
};

/** Until the signal aborts. `units` are full names, such as `tick.timer`. */
export async function followUnits(
  units: readonly string[],
  on: SignalListener,
  signal: AbortSignal,
  socket_path = SYSTEM_BUS,
): Promise<void> {
  let told = "";
  for (let attempt = 0; !signal.aborted; attempt += 1) {
    try {
      await connected(
        units.slice(0, UNITS_LIMIT),
        socket_path,
        signal,
        () => {
          if (attempt > 0) on.changed();
          attempt = 0;
          told = "";
        },
        on.changed,
      );
    } catch (error) {
      if (!(error instanceof FleetError)) throw error;
      if (!signal.aborted && error.message !== told) on.failed(error);
      told = error.message;
    }
    await pause(backoff_ms(attempt), signal);
  }
}

/** One connection, to its end. Errors: FAILED. */
function connected(
  units: readonly string[],
  socket_path: string,
  signal: AbortSignal,
  ready: () => void,
  changed: () => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(socket_path);
    const states = new Map<string, string>();
    let greeted = false;
    let waiting = Buffer.alloc(0);
    const fail = (why: string) =>
      socket.destroy(new FleetError("FAILED", `units are not followed: ${socket_path}: ${why}`));
    const take = ({ type, path, body }: Message) => {
      if (type === ERROR) return fail("the bus or systemd refused to tell of them");
      const state = type === SIGNAL && path?.startsWith(UNITS) ? activeState(body) : null;
      if (path === null || state === null || states.get(path) === state) return;
      states.set(path, state);
      changed();
    };
    socket.on("connect", () => {
      const uid = Buffer.from(String(process.getuid?.() ?? 0)).toString("hex");
      socket.write(`\0AUTH EXTERNAL ${uid}\r\n`);
    });
    socket.on("data", (chunk: Buffer) => {
      waiting = Buffer.concat([waiting, chunk]);
      if (!greeted) {
        const end = waiting.indexOf("\r\n");
        if (end < 0) return;
        if (!waiting.toString("latin1", 0, 3).startsWith("OK ")) return fail("it refuses us");
        waiting = waiting.subarray(end + 2);
        greeted = true;
        begin(socket, units);
        ready();
      }
      try {
        for (let read = firstMessage(waiting); read !== null; read = firstMessage(waiting)) {
          waiting = waiting.subarray(read.size);
          take(read.message);
        }
      } catch (error) {
        fail(error instanceof Error ? error.message : String(error));
      }
    });
    const stop = () => socket.destroy();
    signal.addEventListener("abort", stop, { once: true });
    if (signal.aborted) stop();
    let broken: FleetError | null = null;
    socket.on("error", (error) => {
      broken =
        error instanceof FleetError
          ? error
          : new FleetError("FAILED", `units are not followed: ${socket_path}: ${error.message}`);
    });
    socket.on("close", () => {
      signal.removeEventListener("abort", stop);
      if (broken === null) resolve();
      else reject(broken);
    });
  });
}

/** systemd tells only those who have subscribed; the bus gives us only what we match. */
function begin(socket: Socket, units: readonly string[]): void {
  const bus = { path: "/org/freedesktop/DBus", to: "org.freedesktop.DBus", of: "org.freedesktop.DBus" };
  const systemd = {
    path: "/org/freedesktop/systemd1",
    to: "org.freedesktop.systemd1",
    of: "org.freedesktop.systemd1.Manager",
  };
  const calls = [
    call(1, { ...bus, member: "Hello" }),
    ...units.map((unit, index) => {
      const rule = `type='signal',sender='org.freedesktop.systemd1',path='${pathOf(unit)}',interface='org.freedesktop.DBus.Properties',member='PropertiesChanged'`;
      return call(index + 3, { ...bus, member: "AddMatch", text: rule });
    }),
    call(2, { ...systemd, member: "Subscribe" }),
  ];
  socket.write(Buffer.concat([Buffer.from("BEGIN\r\n"), ...calls]));
}

/** As systemd escapes a unit's name in its object's path. */
export const pathOf = (unit: string): string =>
  UNITS +
  [...Buffer.from(unit)]
    .map((byte, index) => {
      const char = String.fromCharCode(byte);
      const plain = index === 0 ? /[A-Za-z]/ : /[A-Za-z0-9]/;
      return plain.test(char) ? char : `_${byte.toString(16).padStart(2, "0")}`;
    })
    .join("");

type Call = {
  readonly path: string;
  readonly to: string;
  readonly of: string;
  readonly member: string;
  readonly text?: string;
};

function call(serial: number, { path, to, of, member, text }: Call): Buffer {
  const fields = padded(
    [
      field(1, "o", string(path)),
      field(6, "s", string(to)),
      field(2, "s", string(of)),
      field(3, "s", string(member)),
      ...(text === undefined ? [] : [field(8, "g", Buffer.from("\x01s\0", "latin1"))]),
    ],
    8,
  );
  const body = text === undefined ? Buffer.alloc(0) : string(text);
  const head = Buffer.from([LITTLE ? 0x6c : 0x42, CALL, 0, 1]);
  const sizes = Buffer.concat([number(body.length), number(serial), number(fields.length)]);
  return Buffer.concat([padded([Buffer.concat([head, sizes, fields])], 8, true), body]);
}

/** One behind the other, each at a multiple of `step`; `ends`: the last too. */
function padded(parts: readonly Buffer[], step: number, ends = false): Buffer {
  let out = Buffer.alloc(0);
  for (const part of parts) out = Buffer.concat([out, Buffer.alloc(-out.length & (step - 1)), part]);
  return ends ? Buffer.concat([out, Buffer.alloc(-out.length & (step - 1))]) : out;
}

const field = (code: number, signature: string, value: Buffer) =>
  Buffer.concat([Buffer.from([code, 1, signature.charCodeAt(0), 0]), value]);

function number(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  if (LITTLE) bytes.writeUInt32LE(value);
  else bytes.writeUInt32BE(value);
  return bytes;
}

const string = (text: string) =>
  Buffer.concat([number(Buffer.byteLength(text)), Buffer.from(text), Buffer.from([0])]);

type Message = { readonly type: number; readonly path: string | null; readonly body: Buffer };

/** Null while it is not whole. Errors when it is no message. */
function firstMessage(bytes: Buffer): { message: Message; size: number } | null {
  if (bytes.length < 16) return null;
  const u32 = (at: number) => (bytes[0] === 0x6c ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at));
  const fields_end = 16 + u32(12);
  const body_at = (fields_end + 7) & ~7;
  const size = body_at + u32(4);
  if ((bytes[0] !== 0x6c && bytes[0] !== 0x42) || size > MESSAGE_LIMIT_BYTES)
    throw new Error("that is no D-Bus message");
  if (bytes.length < size) return null;
  let path: string | null = null;
  for (let at = 16; at < fields_end; ) {
    at = (at + 7) & ~7;
    const [code, length = 0, kind] = bytes.subarray(at, at + 3);
    if (length !== 1) throw new Error("a header field of a kind that no header has");
    at += 4;
    if (kind === 0x67) at += (bytes[at] ?? 0) + 2;
    else if (kind === 0x75) at = ((at + 3) & ~3) + 4;
    else {
      at = (at + 3) & ~3;
      const end = at + 4 + u32(at);
      if (code === 1) path = bytes.toString("utf8", at + 4, end);
      at = end + 1;
    }
  }
  return { message: { type: bytes[1] ?? 0, path, body: bytes.subarray(body_at, size) }, size };
}

const ACTIVE_STATE = Buffer.from("ActiveState\0\x01s\0", "latin1");

/** Of the properties in it that one; null when it is not among them. Times, which change with each run of a timer, are nothing to wake for. */
function activeState(body: Buffer): string | null {
  const found = body.indexOf(ACTIVE_STATE);
  if (found < 0) return null;
  const at = (found + ACTIVE_STATE.length + 3) & ~3;
  const text = body.subarray(at + 4);
  return text.toString("latin1", 0, text.indexOf(0));
}
