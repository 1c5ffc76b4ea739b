/** The microphone: how loud it is, how long it runs, and what it has recorded. */
export class Recorder {
  private recorder: MediaRecorder;
  private meter: AudioContext;
  private analyser: AnalyserNode;
  private samples: Float32Array<ArrayBuffer>;
  private pieces: Blob[] = [];
  readonly began = performance.now();

  private constructor(private stream: MediaStream) {
    this.recorder = new MediaRecorder(stream);
    this.recorder.ondataavailable = (e) => this.pieces.push(e.data);
    this.recorder.start(1000);
    this.meter = new AudioContext();
    this.analyser = this.meter.createAnalyser();
    this.analyser.fftSize = 1024;
    this.samples = new Float32Array(this.analyser.fftSize);
    this.meter.createMediaStreamSource(stream).connect(this.analyser);
  }

  /** The voice as it is: no gain control or echo canceller in between. */
  static async begin(): Promise<Recorder> {
    return new Recorder(await navigator.mediaDevices.getUserMedia({
      audio: { autoGainControl: false, echoCancellation: false, noiseSuppression: false },
    }));
  }

  /** 0 to 1, on the scale an ear has. */
  level(): number {
    this.analyser.getFloatTimeDomainData(this.samples);
    const rms = Math.sqrt(this.samples.reduce((sum, v) => sum + v * v, 0) / this.samples.length);
    return Math.max(0, Math.min(1, 1 + Math.log10(rms + 1e-6) / 3));
  }

  seconds(): number {
    return (performance.now() - this.began) / 1000;
  }

  end(): Promise<Blob> {
    return new Promise((resolve) => {
      this.recorder.onstop = () => {
        this.stream.getTracks().forEach((t) => t.stop());
        void this.meter.close();
        resolve(new Blob(this.pieces, { type: this.recorder.mimeType }));
      };
      this.recorder.stop();
    });
  }
}
