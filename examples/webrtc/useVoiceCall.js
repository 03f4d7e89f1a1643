// A React hook for a call by WebRTC. `getToken` fetches a client secret from your own server, which has the API key.
import { useCallback, useEffect, useRef, useState } from "react";

import { call } from "./call.js";

/** `status` is idle, connecting, connected or failed; `lines` are `{who, text}`, oldest first. */
export function useVoiceCall({ server, getToken }) {
  const [status, setStatus] = useState("idle");
  const [lines, setLines] = useState([]);
  const current = useRef(null);
  const attempt = useRef(0);

  const stop = useCallback(() => {
    attempt.current += 1;
    current.current?.hangUp();
    current.current = null;
    setStatus("idle");
  }, []);

  const start = useCallback(async () => {
    stop();
    const mine = attempt.current;
    setStatus("connecting");
    setLines([]);
    const say = (who, text) => setLines((before) => [...before, { who, text }]);
    const onEvent = (event) => {
      if (mine !== attempt.current) return;
      if (event.type === "session.created") setStatus("connected");
      if (event.type === "conversation.item.input_audio_transcription.completed") say("you", event.transcript);
      if (event.type === "response.output_audio_transcript.done") say("agent", event.transcript);
    };
    try {
      const made = await call(server, await getToken(), new Audio(), onEvent);
      if (mine !== attempt.current) made.hangUp(); // stopped meanwhile, or the component is gone
      else current.current = made;
    } catch {
      if (mine === attempt.current) setStatus("failed");
    }
  }, [server, getToken, stop]);

  useEffect(() => stop, [stop]);
  const send = useCallback((event) => current.current?.send(event), []);
  return { status, lines, start, stop, send };
}
