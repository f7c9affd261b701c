/** One field that narrows a list; key / goes there, Escape empties it. */
export function Search({ value, what, set }: { value: string; what: string; set: (value: string) => void }) {
  return (
    <input
      type="search"
      placeholder={`${what} (key /)`}
      aria-label={what}
      value={value}
      maxLength={200}
      onInput={(event) => set(event.currentTarget.value)}
      onKeyDown={(event) => {
        if (event.key !== "Escape") return;
        set("");
        event.currentTarget.blur();
      }}
    />
  );
}

/** Whether every word that was typed is in the text. */
export function finds(typed: string, text: string): boolean {
  const there = text.toLowerCase();
  return typed
    .toLowerCase()
    .split(/\s+/)
    .every((word) => there.includes(word));
}
