// A site in Go with the sessions of SCS, as its users write one. It says its port, and answers what its session holds.
package main

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/gob"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/alexedwards/scs/mysqlstore"
	"github.com/alexedwards/scs/postgresstore"
	"github.com/alexedwards/scs/redisstore"
	"github.com/alexedwards/scs/v2"
	_ "github.com/go-sql-driver/mysql"
	"github.com/gomodule/redigo/redis"
	_ "github.com/lib/pq"
)

var sessions = scs.New()

// Requests that wait in their handlers, by the name that they were given.
var held sync.Map

type typed struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

type answer struct {
	Token    string           `json:"token"`
	Deadline time.Time        `json:"deadline"`
	Values   map[string]typed `json:"values"`
}

func main() {
	store := flag.String("store", "", "postgres, mysql or redis")
	at := flag.String("at", "", "its address, as the driver takes it")
	flag.BoolVar(&sessions.HashTokenInStore, "hash", false, "store hashes of tokens")
	flag.DurationVar(&sessions.IdleTimeout, "idle", 0, "the idle timeout")
	flag.DurationVar(&sessions.Lifetime, "lifetime", time.Hour, "the lifetime of a session")
	flag.Parse()
	gob.Register(time.Time{})
	sessions.Store = open(*store, *at)

	site := http.NewServeMux()
	site.HandleFunc("/values", values)
	site.HandleFunc("/put", put)
	site.HandleFunc("/pop", func(w http.ResponseWriter, r *http.Request) {
		sessions.Pop(r.Context(), r.FormValue("key"))
		values(w, r)
	})
	site.HandleFunc("/renew", checked(sessions.RenewToken))
	site.HandleFunc("/destroy", checked(sessions.Destroy))

	all := http.NewServeMux()
	all.HandleFunc("/list", list)
	all.HandleFunc("/waits", func(w http.ResponseWriter, r *http.Request) {
		_, waits := held.Load(r.FormValue("hold"))
		write(w, waits)
	})
	all.HandleFunc("/release", func(w http.ResponseWriter, r *http.Request) {
		if gate, waits := held.LoadAndDelete(r.FormValue("hold")); waits {
			close(gate.(chan struct{}))
			return
		}
		http.Error(w, "nobody waits", http.StatusNotFound)
	})
	all.Handle("/", sessions.LoadAndSave(site))

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	log.Fatal(http.Serve(listener, all))
}

func open(store, at string) scs.Store {
	if store == "redis" {
		dial := func() (redis.Conn, error) { return redis.Dial("tcp", at) }
		return redisstore.New(&redis.Pool{MaxIdle: 10, Dial: dial})
	}
	db, err := sql.Open(store, at)
	if err == nil {
		err = db.Ping()
	}
	if err != nil {
		log.Fatal(err)
	}
	if store == "mysql" {
		return mysqlstore.New(db)
	}
	return postgresstore.New(db)
}

func checked(do func(context.Context) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := do(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		values(w, r)
	}
}

// Puts a value of a type; with `hold` it waits in the handler, the session being loaded, until it is released.
func put(w http.ResponseWriter, r *http.Request) {
	value, err := parse(r.FormValue("type"), r.FormValue("value"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if name := r.FormValue("hold"); name != "" {
		gate := make(chan struct{})
		held.Store(name, gate)
		<-gate
	}
	sessions.Put(r.Context(), r.FormValue("key"), value)
	values(w, r)
}

func parse(kind, text string) (interface{}, error) {
	switch kind {
	case "string":
		return text, nil
	case "int":
		return strconv.Atoi(text)
	case "int64":
		return strconv.ParseInt(text, 10, 64)
	case "float64":
		return strconv.ParseFloat(text, 64)
	case "bool":
		return strconv.ParseBool(text)
	case "[]uint8":
		return base64.StdEncoding.DecodeString(text)
	case "time.Time":
		return time.Parse(time.RFC3339Nano, text)
	}
	return nil, errors.New("no such type: " + kind)
}

func format(value interface{}) typed {
	text := fmt.Sprint(value)
	switch value := value.(type) {
	case []byte:
		text = base64.StdEncoding.EncodeToString(value)
	case time.Time:
		text = value.UTC().Format(time.RFC3339Nano)
	case float64:
		text = strconv.FormatFloat(value, 'g', -1, 64)
	}
	return typed{fmt.Sprintf("%T", value), text}
}

func contents(ctx context.Context) answer {
	all := map[string]typed{}
	for _, key := range sessions.Keys(ctx) {
		all[key] = format(sessions.Get(ctx, key))
	}
	return answer{sessions.Token(ctx), sessions.Deadline(ctx), all}
}

func values(w http.ResponseWriter, r *http.Request) {
	write(w, contents(r.Context()))
}

// Every session that is in the store.
func list(w http.ResponseWriter, r *http.Request) {
	all := []answer{}
	err := sessions.Iterate(r.Context(), func(ctx context.Context) error {
		all = append(all, contents(ctx))
		return nil
	})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	write(w, all)
}

func write(w http.ResponseWriter, answer interface{}) {
	body, err := json.Marshal(answer)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Write(body)
}
