/** The file system below a prefix ("" on a real host). All paths are absolute as the host sees them. */
export type FileFacts = {
  readonly type: "file" | "directory" | "link" | "other";
  readonly owner: string;
  readonly group: string;
  /** Four octal digits. */
  readonly mode: string;
  readonly size_bytes: number;
  readonly changed_ms: number;
};

export type Files = {
  /** Facts without following a link; null when there is nothing. */
  facts(path: string): Promise<FileFacts | null>;
  /** The bytes; null when there is nothing. Errors: TOO_LARGE above `limit_bytes`, FAILED with path and reason. */
  read(path: string, limit_bytes: number): Promise<Buffer | null>;
  /** Writes beside the target, sets owner and mode, syncs, calls `before` with the new file's path, renames. Refuses to follow a link in the last step. */
  replace(
    path: string,
    content: Uint8Array,
    attributes: { owner: string; group: string; mode: string },
    before?: (candidate: string) => Promise<void>,
  ): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  setAttributes(path: string, attributes: { owner: string; group: string; mode: string }): Promise<void>;
  makeDirectory(path: string, attributes: { owner: string; group: string; mode: string }): Promise<void>;
  /** Removes a file, or an empty directory; nothing there is fine. */
  remove(path: string): Promise<void>;
  list(path: string): Promise<readonly string[]>;
  /** The real path on disk: prefix + path, for commands. */
  real(path: string): string;
  /** Calls back when something below one of these paths' directories changes; bursts are gathered. */
  watch(paths: readonly string[], changed: (path: string) => void, signal: AbortSignal): void;
};
