// Says where the call is answered and by whom.

import { vendorsOf } from "/page/answering.js";
import { make } from "/page/make.js";

export class AnsweringView {
  constructor(find) {
    this.where = find("where");
    this.vendors = find("vendors");
    this.labels = {};
  }

  /** Who answers this call. */
  show({ agent, region, providers, vendors }, name) {
    this.labels = vendors ?? {};
    this.where.replaceChildren(make("b", "", name), make("span", "", region));
    this.where.title = `${name} answers in the region ${region}${agent?.version ? `, version ${agent.version}` : ""}`;
    this.where.hidden = false;
    this.served(providers);
  }

  /** Who served a turn: another vendor may have stepped in. */
  served(providers) {
    const served = vendorsOf(providers, this.labels);
    this.vendors.replaceChildren(
      ...served.map(({ name, does, standIn }) => {
        const entry = make("li", "");
        entry.append(make("b", "", name), ` ${does}`);
        if (standIn) entry.append(" ", make("span", "mark", "stand-in"));
        return entry;
      }),
    );
    this.vendors.hidden = served.length === 0;
  }
}
