package bench

import (
	"flag"

	"github.com/strata-db/strata/bench/gen"
)

// A Mix is the shape of mixgraph: what is asked for, how popular keys are, and how
// long values and scans. Its defaults are what was measured of ZippyDB, with the
// names and values that RocksDB's users pass to db_bench.
//
// Source: Cao et al., FAST 2020 (see gen.RangeShape), and the page on it in
// RocksDB's wiki.
type Mix struct {
	Get, Put, Seek float64 // shares of the operations
	Keys           gen.RangeShape

	ValueTheta, ValueK, ValueSigma float64 // bytes of a value: gen.Pareto
	MaxValue                       int
	IterTheta, IterK, IterSigma    float64 // entries of a scan
	MaxScan                        int
}

func defaultMix() Mix {
	return Mix{
		Get: 0.85, Put: 0.14, Seek: 0.01,
		Keys:   gen.RangeShape{Ranges: 30, A: 14.18, B: -2.917, C: 0.0164, D: -0.08082},
		ValueK: 0.2615, ValueSigma: 25.45, MaxValue: 1024,
		IterK: 2.517, IterSigma: 14.236, MaxScan: 10_000,
	}
}

func (m *Mix) flags(fs *flag.FlagSet) {
	f := func(p *float64, name, about string) { fs.Float64Var(p, name, *p, "mixgraph: "+about) }
	f(&m.Get, "mix_get_ratio", "share of gets")
	f(&m.Put, "mix_put_ratio", "share of puts")
	f(&m.Seek, "mix_seek_ratio", "share of seeks, each with a scan")
	fs.IntVar(&m.Keys.Ranges, "keyrange_num", m.Keys.Ranges, "mixgraph: parts of the key space")
	f(&m.Keys.A, "keyrange_dist_a", "part i is drawn as often as a·e^(b·i) + c·e^(d·i)")
	f(&m.Keys.B, "keyrange_dist_b", "see keyrange_dist_a")
	f(&m.Keys.C, "keyrange_dist_c", "see keyrange_dist_a")
	f(&m.Keys.D, "keyrange_dist_d", "see keyrange_dist_a")
	f(&m.Keys.KeyA, "key_dist_a", "popularity of keys in a part, a·x^b; 0 is even")
	f(&m.Keys.KeyB, "key_dist_b", "see key_dist_a")
	f(&m.ValueTheta, "value_theta", "generalized Pareto distribution of value sizes: location")
	f(&m.ValueK, "value_k", "its shape")
	f(&m.ValueSigma, "value_sigma", "its scale")
	fs.IntVar(&m.MaxValue, "mix_max_value_size", m.MaxValue, "mixgraph: `bytes` of the largest value")
	f(&m.IterTheta, "iter_theta", "the same of scan lengths: location")
	f(&m.IterK, "iter_k", "its shape")
	f(&m.IterSigma, "iter_sigma", "its scale")
	fs.IntVar(&m.MaxScan, "mix_max_scan_len", m.MaxScan, "mixgraph: entries of the longest scan")
}

// mixGraph does what the mix says. Keys written before keep their values until a
// put replaces them: by the beginning, of some length, of a longer value.
func mixGraph(t *thread) error {
	m := &t.cfg.Mix
	keys := gen.NewRanges(t.rng, uint64(t.cfg.Num), m.Keys, t.cfg.Seed)
	all := m.Get + m.Put + m.Seek
	t.restart()
	for i := 0; t.more(i, t.cfg.reads()); i++ {
		k, what := keys.Next(), t.rng.Float64()*all
		var err error
		switch {
		case what < m.Get:
			err = t.get(k)
		case what < m.Get+m.Put:
			err = t.putPart(k, gen.Pareto(t.rng, m.ValueTheta, m.ValueK, m.ValueSigma, m.MaxValue))
		default:
			err = t.scanFrom(k, gen.Pareto(t.rng, m.IterTheta, m.IterK, m.IterSigma, m.MaxScan))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// putPart writes the first n bytes of number k's long value.
func (t *thread) putPart(k uint64, n int) error {
	value := t.r.content.parts.At(k)[:n]
	t.r.content.note(k)
	if err := t.db.Put(t.keyOf(k), value, t.wo); err != nil {
		return err
	}
	n += len(t.key)
	t.did(n)
	t.pace(n)
	return nil
}
