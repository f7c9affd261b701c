/** What came of a request, as one word: for tests that hold many against what they should come to. */
import { FleetError } from "@muster/protocol/errors";

/** "done", or the code of the refusal. */
export const outcome = (asked: Promise<unknown>): Promise<string> =>
  asked.then(
    () => "done",
    (error: unknown) => {
      if (error instanceof FleetError) return error.code;
      throw error;
    },
  );
