package bench

import (
	"bytes"
	"os"
	"runtime"
	"time"
)

// cpuModel names the processor, where the system says it.
func cpuModel() string {
	data, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for _, line := range bytes.Split(data, []byte("\n")) {
		name, value, ok := bytes.Cut(line, []byte(":"))
		if ok && string(bytes.TrimSpace(name)) == "model name" {
			return string(bytes.TrimSpace(value))
		}
	}
	return runtime.GOARCH
}

func createFile(name string) (*os.File, error) { return os.Create(name) }

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }
