// Browsers start no worker from disk: the site's search then runs in a hidden frame instead, behind the same interface.
if (location.protocol === "file:") {
  window.IFrameWorker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.documentElement.append(frame);
      const inside = frame.contentWindow, page = frame.contentDocument;
      const load = (source) => new Promise((done, failed) => {
        const script = page.createElement("script");
        script.src = new URL(source, location.href).href;
        script.onload = done;
        script.onerror = () => failed(new Error(`${source} cannot be read`));
        page.body.append(script);
      });
      inside.importScripts = (...sources) => Promise.all(sources.map(load));
      inside.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
      const ready = load(url);
      this.postMessage = (data) => ready.then(() => inside.dispatchEvent(new inside.MessageEvent("message", { data })));
      this.terminate = () => frame.remove();
    }
  };
  window.Worker = window.IFrameWorker;
}
