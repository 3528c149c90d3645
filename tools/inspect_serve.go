package tools

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// This file is the only user of net/http, a third of the program strata; why it stays
// is in docs/decisions/0005-libraries.md.

// listen shows the page to browsers on this machine until ctx ends.
func (x *inspectCommand) listen(ctx context.Context, c *console, dir string) error {
	addr, err := loopback(x.serve)
	if err != nil {
		return err
	}
	if _, err := x.read(ctx, c, dir); err != nil {
		return err // said now rather than in the browser
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	c.notef("the tree of %s is at http://%s/ until interrupted", dir, l.Addr())
	return serveUntil(ctx, l, x.handler(ctx, c, dir))
}

// loopback returns the address to listen at. A name other than localhost, and an
// address that others can reach, are refused: the page shows keys.
func loopback(addr string) (string, error) {
	if !strings.Contains(addr, ":") {
		addr = ":" + addr
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", usagef("--serve %s: %v", addr, err)
	}
	if host == "" || host == "localhost" {
		host = "127.0.0.1"
	}
	if ip, err := netip.ParseAddr(host); err != nil || !ip.IsLoopback() {
		return "", usagef("--serve %s: only addresses of the loopback interface, such as 127.0.0.1:8080, are served", addr)
	}
	return net.JoinHostPort(host, port), nil
}

func serveUntil(ctx context.Context, l net.Listener, h http.Handler) error {
	s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })
	defer stop()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// handler reads the database for each request, one at a time.
func (x *inspectCommand) handler(ctx context.Context, c *console, dir string) http.Handler {
	var mu sync.Mutex
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		switch {
		case !localName(req.Host):
			// A page from elsewhere may have pointed its own name at this address.
			http.Error(w, "ask for localhost", http.StatusForbidden)
			return
		case req.URL.Path != "/":
			http.NotFound(w, req)
			return
		case req.Method != http.MethodGet && req.Method != http.MethodHead:
			http.Error(w, "only GET", http.StatusMethodNotAllowed)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		var b bytes.Buffer
		r, err := x.read(ctx, c, dir)
		if err == nil {
			err = renderPage(&b, r.page(c.keyLabel))
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		h.Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(b.Bytes()) // the browser went away
	})
}

// localName reports whether the host of a request is this machine.
func localName(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.Trim(hostport, "[]")
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}
