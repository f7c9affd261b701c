/** The recovery kit's file of one command: read and opened once, and only when it is needed, since its passphrase is asked for then. */
import { FleetError } from "@muster/protocol/errors";
import { readText, writeText } from "./disk.ts";
import { checkPassphrase, type Kit, openKit, sealKit } from "./kit.ts";

export interface KitFile {
  readonly path: string;
  exists(): Promise<boolean>;
  /** Errors: USAGE when there is none, CONFLICT for another fleet's, NOT_ALLOWED for a wrong passphrase. */
  open(): Promise<Kit>;
  /** Asks for the passphrase of a new kit, and checks it, before there is one. */
  prepare(): Promise<void>;
  /** Writes a new kit. */
  write(kit: Kit): Promise<void>;
}

/** @param passphrase asked for once; `first` for a kit that is made */
export function kitFile(
  path: string,
  fleet: string,
  passphrase: (first: boolean) => Promise<string>,
): KitFile {
  let opened: Promise<Kit> | undefined;
  let chosen: Promise<string> | undefined;
  const choose = (): Promise<string> => {
    chosen ??= passphrase(true).then(checkPassphrase);
    return chosen;
  };
  const read = async (): Promise<Kit> => {
    const text = await readText(path);
    if (text === null) {
      throw new FleetError(
        "USAGE",
        `the fleet's keys are needed again, and ${path} is not there: give the recovery kit with --kit-file`,
      );
    }
    const kit = await openKit(text, await passphrase(false));
    if (kit.fleet !== fleet) throw new FleetError("CONFLICT", `${path} is the kit of ${kit.fleet}`);
    return kit;
  };
  return {
    path,
    exists: async () => (await readText(path)) !== null,
    open() {
      opened ??= read();
      return opened;
    },
    prepare: async () => void (await choose()),
    write: async (kit) => writeText(path, await sealKit(kit, await choose())),
  };
}
