/**
 * An open file by its number. What may wait for a disk (opening, reading, writing, syncing) is done by libuv's threads; what the kernel answers from memory once a file
 * is open (its facts, giving it back) at once: that takes 4 µs, the way to a thread and back 25. With Node's own FileHandle reading a small file takes five such
 * ways and twice the processor time. `AtOnce` is for what a disk that answered a moment ago takes into memory: one that hangs is to be met by a thread. Closing waits for nothing: who needs what was written on the disk syncs it first.
 */
import * as fs from "node:fs";

export class OpenFile {
  readonly number: number;

  private constructor(number: number) {
    this.number = number;
  }

  /** Errors: those of the system, with its codes. */
  static async open(path: string, flags: number, mode?: number): Promise<OpenFile> {
    return new OpenFile(await done<number>((heard) => fs.open(path, flags, mode, heard)));
  }

  /** Errors: those of the system, with its codes. */
  static openAtOnce(path: string, flags: number, mode?: number): OpenFile {
    return new OpenFile(fs.openSync(path, flags, mode));
  }

  facts(): fs.BigIntStats {
    return fs.fstatSync(this.number, { bigint: true });
  }

  /** How many bytes it gave: fewer than there is room for at the end, none after it. */
  read(into: Uint8Array): Promise<number> {
    return done((heard) => fs.read(this.number, into, 0, into.length, null, heard));
  }

  /** All of it, where the last writing ended; at first at the beginning, or at the end when it was opened for that. */
  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      const rest = bytes.length - at;
      at += await done<number>((heard) => fs.write(this.number, bytes, at, rest, null, heard));
    }
  }

  /** As `write`. */
  writeAtOnce(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) at += fs.writeSync(this.number, bytes, at, bytes.length - at, null);
  }

  chown(uid: number, gid: number): Promise<void> {
    return done((heard) => fs.fchown(this.number, uid, gid, heard));
  }

  chmod(mode: number): Promise<void> {
    return done((heard) => fs.fchmod(this.number, mode, heard));
  }

  /** Content and facts are on the disk. */
  sync(): Promise<void> {
    return done((heard) => fs.fsync(this.number, heard));
  }

  /** The content is on the disk, and of the facts what is needed to read it. */
  syncContent(): Promise<void> {
    return done((heard) => fs.fdatasync(this.number, heard));
  }

  truncate(size_bytes: number): Promise<void> {
    return done((heard) => fs.ftruncate(this.number, size_bytes, heard));
  }

  close(): void {
    fs.closeSync(this.number);
  }
}

function done<T>(begin: (heard: (error: Error | null, value: T) => void) => void): Promise<T> {
  return new Promise((resolve, reject) =>
    begin((error, value) => (error === null ? resolve(value) : reject(error))),
  );
}
