// The dialog for devices, and for what the agent is to know of the caller.

import { make } from "/page/make.js";

const STORED = "repartee.setup";
const MOST_PAIRS = 16;

export class SetupView {
  /** `changed({microphone})`, `changed({sink})` or `changed({metadata})` is called with what is chosen. */
  constructor(find, changed) {
    this.find = find;
    this.changed = changed;
    Object.assign(this, { microphone: "", sink: "", metadata: {} }, recalled());
    this.dialog = find("setup");
    find("open-setup").addEventListener("click", () => this.open());
    find("setup-form").addEventListener("submit", (event) => this.close(event));
    find("microphone").addEventListener("change", ({ target }) => this.choose({ microphone: target.value }));
    find("sink").addEventListener("change", ({ target }) => this.choose({ sink: target.value }));
    navigator.mediaDevices?.addEventListener?.("devicechange", () => this.list());
  }

  async open() {
    this.find("metadata").value = Object.entries(this.metadata)
      .map(([name, value]) => `${name}: ${value}`)
      .join("\n");
    this.find("metadata-fault").hidden = true;
    await this.list();
    this.dialog.showModal();
  }

  /** Lists the devices; their names are known once a microphone was allowed. */
  async list() {
    const devices = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
    const named = devices.filter(({ deviceId }) => deviceId);
    this.offer("microphone", named.filter(({ kind }) => kind === "audioinput"), this.microphone);
    this.offer("sink", named.filter(({ kind }) => kind === "audiooutput"), this.sink);
    this.find("device-note").hidden = named.length > 0;
    this.find("sink-field").hidden = !("setSinkId" in HTMLMediaElement.prototype);
  }

  offer(id, devices, chosen) {
    const select = this.find(id);
    const usual = make("option", "", "The browser’s choice");
    usual.value = "";
    const options = devices
      .filter(({ deviceId }) => deviceId !== "default")
      .map(({ deviceId, label }, index) => {
        const option = make("option", "", label || `Device ${index + 1}`);
        option.value = deviceId;
        return option;
      });
    select.replaceChildren(usual, ...options);
    select.value = options.some(({ value }) => value === chosen) ? chosen : "";
    select.disabled = options.length === 0;
  }

  choose(choice) {
    Object.assign(this, choice);
    this.keep();
    this.changed(choice);
  }

  close(event) {
    const { pairs, fault } = pairsIn(this.find("metadata").value);
    this.find("metadata-fault").textContent = fault;
    this.find("metadata-fault").hidden = !fault;
    this.find("metadata").setAttribute("aria-invalid", String(Boolean(fault)));
    if (fault) {
      event.preventDefault();
      this.find("metadata").focus();
      return;
    }
    if (JSON.stringify(pairs) !== JSON.stringify(this.metadata)) this.choose({ metadata: pairs });
  }

  keep() {
    const { microphone, sink, metadata } = this;
    sessionStorage.setItem(STORED, JSON.stringify({ microphone, sink, metadata }));
  }
}

function recalled() {
  return JSON.parse(sessionStorage.getItem(STORED) ?? "{}");
}

// "name: value" a line; `fault` says what is none of that.
function pairsIn(text) {
  const pairs = {};
  const lines = text.split("\n").filter((line) => line.trim());
  for (const line of lines) {
    const [, name, value] = line.match(/^\s*([^:]+?)\s*:\s*(.+?)\s*$/) ?? [];
    if (!name) return { pairs, fault: `“${line.trim()}” is no name and value: write them as “plan: gold”.` };
    pairs[name] = value;
  }
  const fault = lines.length > MOST_PAIRS ? `These are ${lines.length}; ${MOST_PAIRS} are the most.` : "";
  return { pairs, fault };
}
