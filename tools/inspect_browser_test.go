package tools_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/strata-db/strata/tools"
)

var images = flag.String("images", "", "a directory to write screenshots of inspect to")

// browser runs a headless Chromium with the given arguments and returns what it
// prints. Without one the test is skipped, or fails if STRATA_REQUIRE_BROWSER is 1.
func browser(t *testing.T, args ...string) string {
	t.Helper()
	required := os.Getenv("STRATA_REQUIRE_BROWSER") == "1"
	if testing.Short() && !required {
		t.Skip("a browser takes seconds to start")
	}
	var name string
	for _, try := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(try); err == nil {
			name = found
			break
		}
	}
	if name == "" {
		if required {
			t.Fatal("no Chromium in PATH")
		}
		t.Skip("no Chromium in PATH")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	// Not t.TempDir, which fails the test if one of the browser's processes that
	// is about to end still writes there.
	profile, err := os.MkdirTemp("", "strata-browser")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(profile)
	cmd := exec.CommandContext(ctx, name, append([]string{
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--hide-scrollbars", "--user-data-dir=" + profile,
	}, args...)...)
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return string(out)
}

// pageOf writes the page of a database, with a script behind its own, and returns
// its address.
func pageOf(t *testing.T, dir, script string) string {
	t.Helper()
	page, errs, status := run(t, tools.Env{}, "inspect", dir, "--html", "-")
	if status != tools.ExitOK {
		t.Fatal(errs)
	}
	if script != "" {
		page = strings.Replace(page, "</body>", "<script>"+script+"</script></body>", 1)
	}
	name := filepath.Join(t.TempDir(), "tree.html")
	if err := os.WriteFile(name, []byte(page), 0o644); err != nil {
		t.Fatal(err)
	}
	return "file://" + name
}

// TestInspectIsDrawn lets a browser draw the pages and looks for the tables, the
// time line and the charts in what comes out.
func TestInspectIsDrawn(t *testing.T) {
	for name := range pictures {
		dir := paint(t, name)
		p := inspectJSON(t, tools.Env{}, dir)
		dom := browser(t, "--dump-dom", pageOf(t, dir, ""))
		_, dom, _ = strings.Cut(dom, "<main>")
		dom, _, _ = strings.Cut(dom, "<script")
		if got, want := strings.Count(dom, `<g class="cell"`), len(p.live()); got != want {
			t.Errorf("%s: %d cells, want %d", name, got, want)
		}
		if got := strings.Count(dom, `tabindex="0"`); got < 2 || got > 7 {
			t.Errorf("%s: Tab stops at %d cells, want one in each level", name, got)
		}
		for what, pattern := range map[string]string{
			"time line": `<polygon points="[0-9., ]+"`, "cursor": `<line class="cursor"[^>]* x1="[0-9.]+"`,
			"columns": `<svg [^>]*id="bins-svg"`, "amplification": `<td>all</td>.*×</td>`,
			"moment": fmt.Sprintf("After edit %d of %d: ", p.Edits, p.Edits), "slider": `aria-valuetext="After edit`,
		} {
			if !regexp.MustCompile(pattern).MatchString(dom) {
				t.Errorf("%s: there is no %s", name, what)
			}
		}
		if bad := regexp.MustCompile(`"[^"]*(NaN|undefined|Infinity)[^"]*"`).FindString(dom); bad != "" {
			t.Errorf("%s: %s", name, bad)
		}
	}
}

// TestInspectByKeyboard moves the slider and walks the cells with keys.
func TestInspectByKeyboard(t *testing.T) {
	dom := browser(t, "--dump-dom", pageOf(t, paint(t, "healthy"), `
		const key = k => document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {key: k, bubbles: true}));
		const note = text => el(document.body, 'p', {}, 'NOTE ' + text);
		document.querySelector('.cell').focus();
		for (const k of ['ArrowDown', 'ArrowDown', 'ArrowRight', 'ArrowRight', 'ArrowLeft']) key(k);
		note(document.activeElement === drawing[2].cells.children[1] ? 'second of level 2' : 'lost');
		note($('say').textContent);
		$('slider').value = 0;
		$('slider').dispatchEvent(new Event('input'));
		note(document.querySelectorAll('.cell').length + ' cells; ' + $('moment').textContent);
	`))
	for _, want := range []string{"NOTE second of level 2<", "NOTE Level 2, table", "NOTE 0 cells; After edit 1 of"} {
		if !strings.Contains(dom, want) {
			t.Errorf("there is no %q", want)
		}
	}
}

// TestInspectHostileKeys lets a browser draw keys that are scripts.
func TestInspectHostileKeys(t *testing.T) {
	dom := browser(t, "--dump-dom", pageOf(t, hostileDB(t), ""))
	if !strings.Contains(dom, "<title>Tree of ") || strings.Contains(dom, "<title>taken") {
		t.Error("a key became a script")
	}
	if n := strings.Count(dom, `<g class="cell"`); n == 0 {
		t.Error("nothing is drawn")
	}
	if strings.Contains(dom, "<img") {
		t.Error("a key became an image")
	}
}

// TestInspectImages writes the screenshots of docs/images:
//
//	go test ./tools -run InspectImages -images ../docs/images
func TestInspectImages(t *testing.T) {
	if *images == "" {
		t.Skip("-images is not given")
	}
	to, err := filepath.Abs(*images)
	if err != nil {
		t.Fatal(err)
	}
	for name, height := range map[string]string{"healthy": "1110", "tombstones": "1154", "backlog": "1067"} {
		dir := paint(t, name)
		t.Chdir(filepath.Dir(dir)) // so that the page has a short title
		browser(t, "--screenshot="+filepath.Join(to, "inspect-"+name+".png"), "--window-size=1120,"+height, pageOf(t, name, ""))
	}
}

// fetch gets a page and checks the status. host, if not empty, is the name that
// is asked for.
func fetch(t *testing.T, url, host string, status int) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if host != "" {
		req.Host = host
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != status {
		t.Fatalf("%s: %v, status %d, want %d\n%s", url, err, resp.StatusCode, status, b[:min(len(b), 300)])
	}
	return string(b)
}
