package gen

// A KeyMaker prints numbers as keys of fixed length: decimal digits, zeros in
// front, so that keys sort like numbers. Keys of db_bench look like this.
type KeyMaker struct {
	prefix []byte
	digits int
}

// NewKeyMaker makes keys of size bytes behind prefix bytes of 'k'. size should
// hold the digits of the greatest number; higher digits are cut off.
func NewKeyMaker(size, prefix int) KeyMaker {
	m := KeyMaker{digits: max(size, 1)}
	for range prefix {
		m.prefix = append(m.prefix, 'k')
	}
	return m
}

// Len returns the length of every key in bytes.
func (m KeyMaker) Len() int { return len(m.prefix) + m.digits }

// Append appends the key of number i to dst and returns the result.
func (m KeyMaker) Append(dst []byte, i uint64) []byte {
	dst = append(dst, m.prefix...)
	start := len(dst)
	for n := m.digits; n > 0; n -= len(zeros) {
		dst = append(dst, zeros[:min(n, len(zeros))]...)
	}
	at := len(dst) - 2
	for ; i >= 100 && at >= start; at -= 2 {
		pair := i % 100 * 2
		i /= 100
		dst[at], dst[at+1] = pairs[pair], pairs[pair+1]
	}
	for at++; i > 0 && at >= start; at-- {
		dst[at] = '0' + byte(i%10)
		i /= 10
	}
	return dst
}

const zeros = "0000000000000000"

const pairs = "00010203040506070809" +
	"10111213141516171819" +
	"20212223242526272829" +
	"30313233343536373839" +
	"40414243444546474849" +
	"50515253545556575859" +
	"60616263646566676869" +
	"70717273747576777879" +
	"80818283848586878889" +
	"90919293949596979899"
