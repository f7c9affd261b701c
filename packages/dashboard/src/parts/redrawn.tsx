/** Draws what is in it again only where something else is to be seen: where one of `of` is another one. */
import { Component, type ComponentChildren } from "preact";

type Props = { readonly of: readonly unknown[]; readonly children: () => ComponentChildren };

export class Redrawn extends Component<Props> {
  override shouldComponentUpdate({ of }: Props): boolean {
    return of.length !== this.props.of.length || of.some((each, at) => each !== this.props.of[at]);
  }

  override render({ children }: Props) {
    return <>{children()}</>;
  }
}
