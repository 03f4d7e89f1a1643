// The line that says what went wrong, and offers what to do about it.

import { WORDS } from "/page/faults.js";

const LABELS = { start: "Try again", key: "Enter another key", microphone: "Try again", resume: "Play on" };

export class NoticeView {
  constructor(find, actions) {
    this.notice = find("notice");
    this.text = find("notice-text");
    this.action = find("notice-action");
    this.actions = actions;
    this.timer = null;
    find("notice-close").addEventListener("click", () => this.hide());
  }

  show(fault) {
    this.hide();
    const words = WORDS[fault.kind] ?? { text: fault.message };
    this.text.textContent = fault.detail ? `${words.text} (${fault.detail})` : words.text;
    if (words.action) this.offer(words.action, fault.retryAfterS);
    this.notice.hidden = false;
  }

  hide() {
    clearInterval(this.timer);
    this.notice.hidden = true;
    this.action.hidden = true;
  }

  // With a wish of the server's, the call is placed anew when the time has come, unless it was dismissed.
  offer(action, retryAfterS) {
    const label = LABELS[action];
    const run = () => {
      this.hide();
      this.actions[action]();
    };
    this.action.hidden = false;
    this.action.onclick = run;
    this.action.textContent = label;
    if (!retryAfterS) return;
    let left = retryAfterS;
    const count = () => {
      this.action.textContent = `${label} (${left} s)`;
      if (left <= 0) run();
      left -= 1;
    };
    count();
    this.timer = setInterval(count, 1000);
  }
}
