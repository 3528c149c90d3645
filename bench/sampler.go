package bench

import (
	"fmt"
	"io"
	"runtime/metrics"
	"sync/atomic"
	"time"

	"github.com/strata-db/strata"
)

// A sampler looks at a running benchmark from outside: memory, progress, the
// curve of its throughput.
type sampler struct {
	name  string
	db    *strata.DB // nil: look at the process only
	from  *strata.Metrics
	ops   *atomic.Int64
	want  int64 // operations expected, 0 if unknown
	log   io.Writer
	live  bool // a line that is rewritten
	every time.Duration

	intervals *reporter // nil: none is wanted

	start   time.Time
	samples []Sample
	peak    int64
	told    time.Time
	toldOps int64
	shown   bool
	stopped chan struct{}
	done    chan struct{}
}

const samplePeriod = 100 * time.Millisecond

// begin samples until stop is called.
func (s *sampler) begin() {
	s.start, s.told = time.Now(), time.Now()
	s.stopped, s.done = make(chan struct{}), make(chan struct{})
	s.sample()
	go func() {
		defer close(s.done)
		tick := time.NewTicker(samplePeriod)
		defer tick.Stop()
		for {
			select {
			case <-s.stopped:
				return
			case <-tick.C:
				s.sample()
				s.tell()
			}
		}
	}()
}

// stop ends the sampling with a last sample.
func (s *sampler) stop() {
	close(s.stopped)
	<-s.done
	s.sample()
	s.intervals.end(s.ops)
	if s.shown {
		fmt.Fprintf(s.log, "\r%60s\r", "")
	}
}

func (s *sampler) sample() {
	p := Sample{Seconds: time.Since(s.start).Seconds(), Ops: s.ops.Load(), MemoryBytes: goMemory()}
	if s.db != nil {
		m := s.db.Metrics()
		p.MemoryBytes += m.Memtable.MemoryBytes
		p.WriteAmp, p.ReadAmp, p.DiskBytes = writeAmp(s.from, m), m.ReadAmp(), m.DiskBytes()
	}
	s.peak = max(s.peak, p.MemoryBytes)
	s.samples = append(s.samples, p)
	if len(s.samples) > 2000 { // a long run: keep every other
		kept := s.samples[:0]
		for i := 0; i < len(s.samples); i += 2 {
			kept = append(kept, s.samples[i])
		}
		s.samples = kept
	}
}

// tell shows progress on the log.
func (s *sampler) tell() {
	now := time.Now()
	s.intervals.tick(now, s.ops)
	done := s.ops.Load()
	if s.every > 0 && now.Sub(s.told) >= s.every {
		since := now.Sub(s.told).Seconds()
		fmt.Fprintf(s.log, "%s: %d ops after %.1f s; %.0f ops/sec in the last %.1f s\n",
			s.name, done, now.Sub(s.start).Seconds(), float64(done-s.toldOps)/since, since)
		s.told, s.toldOps = now, done
	}
	if s.live {
		share := ""
		if s.want > 0 {
			share = fmt.Sprintf(" (%d%%)", min(100, 100*done/s.want))
		}
		fmt.Fprintf(s.log, "\r... %s: finished %d ops%s%20s\r", s.name, done, share, "")
		s.shown = true
	}
}

// writeAmp is the bytes written to disk for each user byte between two moments.
func writeAmp(from, to *strata.Metrics) float64 {
	user := to.UserBytes - from.UserBytes
	if user <= 0 {
		return 0
	}
	disk := to.WAL.Bytes - from.WAL.Bytes + to.Flush.Bytes - from.Flush.Bytes + to.Compaction.BytesWritten - from.Compaction.BytesWritten
	return float64(disk) / float64(user)
}

// goMemory is what the Go runtime holds of the system's memory, in bytes.
// Memtables, which lie outside, are not in it.
func goMemory() int64 {
	s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(s)
	return int64(s[0].Value.Uint64() - s[1].Value.Uint64())
}
