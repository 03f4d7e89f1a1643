// A call by WebRTC in plain JavaScript (docs/webrtc.md). `token` is a client secret, `player` an <audio> element.
export async function call(server, token, player, onEvent) {
  const headers = { Authorization: `Bearer ${token}` };
  const turn = await fetch(`${server}/v1/realtime/ice_servers`, { headers });
  const peer = new RTCPeerConnection(turn.ok ? await turn.json() : {});
  const microphone = await navigator.mediaDevices.getUserMedia({ audio: true });
  peer.addTrack(microphone.getTracks()[0], microphone);
  peer.ontrack = ({ streams }) => { player.srcObject = streams[0]; player.play(); };
  const events = peer.createDataChannel("oai-events");
  events.onmessage = ({ data }) => onEvent(JSON.parse(data));
  const offer = async (query) => {
    await peer.setLocalDescription();
    const request = { method: "POST", body: peer.localDescription.sdp };
    request.headers = { ...headers, "Content-Type": "application/sdp" };
    const answer = await fetch(`${server}/v1/realtime/calls${query}`, request);
    if (!answer.ok) throw new Error((await answer.json()).error.message);
    await peer.setRemoteDescription({ type: "answer", sdp: await answer.text() });
    return answer.headers.get("Location").split("/").pop();
  };
  const id = await offer("");
  peer.onconnectionstatechange = () => { // the network has changed: the call goes on, on another path
    if (peer.connectionState !== "failed") return;
    peer.restartIce();
    offer(`?call_id=${id}`).catch(() => peer.close());
  };
  const hangUp = () => { microphone.getTracks()[0].stop(); peer.close(); };
  return { id, peer, send: (event) => events.send(JSON.stringify(event)), hangUp };
}
