// A browser starts no worker for a page of file://, so there the search runs in a hidden frame.
"use strict";
if (location.protocol === "file:") {
  window.IFrameWorker = class extends EventTarget {
    constructor(url) {
      super();
      this.waiting = [];
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      this.frame.title = "search";
      this.frame.srcdoc = "<!doctype html><html><head></head><body></body></html>";
      this.frame.addEventListener("load", () => this.start(String(url)), { once: true });
      if (document.body) document.body.append(this.frame);
      else addEventListener("DOMContentLoaded", () => document.body.append(this.frame));
    }

    start(url) {
      const inside = this.frame.contentWindow;
      const load = (source) =>
        new Promise((resolve, reject) => {
          const script = inside.document.createElement("script");
          script.src = source;
          script.onload = resolve;
          script.onerror = reject;
          inside.document.head.append(script);
        });
      inside.importScripts = (...urls) =>
        urls.reduce((before, source) => before.then(() => load(source)), Promise.resolve());
      inside.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
      load(url).then(() => {
        this.running = true;
        this.waiting.forEach((data) => this.postMessage(data));
      });
    }

    postMessage(data) {
      const inside = this.frame.contentWindow;
      if (this.running) inside.dispatchEvent(new inside.MessageEvent("message", { data }));
      else this.waiting.push(data);
    }

    terminate() {
      this.frame.remove();
    }
  };
  window.Worker = window.IFrameWorker;
}
